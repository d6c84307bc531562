/**
 * The SDK against a server that reads the server's lines of a transcript.
 *
 * @module
 */
import { WebSocket } from "ws";
import {
  type Client,
  type ClientEvents,
  createClient,
  MemoryStore,
  type Message,
  type OutboxEntry,
  type Page,
  type SocketLike,
} from "../../src/index.js";
import { Line, MadeUpEdge, Queue } from "./server.js";
import { type Json, type JsonObject, type Script, type Step, Vars } from "./script.js";

/** Frames that a client may send whenever it likes; those that no line asks for are answered and passed over. */
const FREE: Record<string, ((id: Json) => JsonObject) | undefined> = {
  receipt: undefined,
  typing: undefined,
  active: undefined,
  watch: (id) => ({ type: "presence", id, users: [] }),
  ping: (id) => ({ type: "pong", id }),
  conversations: (id) => ({ type: "conversations", id, conversations: [] }),
};

/** What an application was told, in the words of the transcripts. */
type Told = { [kind in "acked" | "failed" | "truncated" | "stopped"]?: Json };

/** Plays it; throws with the step that went wrong. */
export async function play(script: Script): Promise<void> {
  const lines = new Queue<Line>();
  const edges = [await MadeUpEdge.open(lines), await MadeUpEdge.open(lines)];
  const player = new Player(script, lines, edges);
  try {
    for (const [index, step] of script.steps.entries()) {
      try {
        await player.step(step);
      } catch (error) {
        throw new Error(`step ${index + 1}: ${JSON.stringify(step)}`, { cause: error });
      }
    }
    if (lines.size > 0) throw new Error("it connects once more");
  } finally {
    await player.stop();
    for (const edge of edges) edge.close();
  }
}

class Player {
  private readonly vars: Vars;
  private readonly tokens: string[];
  private readonly store = new MemoryStore();
  private readonly edges: MadeUpEdge[];
  private readonly lines: Queue<Line>;
  private line: Line | undefined;
  private client: Client | undefined;
  private readonly messages = new Queue<Message>();
  private readonly news = new Queue<Told>();
  private readonly heard: Told[] = [];
  private page: Promise<Page> | undefined;

  constructor(script: Script, lines: Queue<Line>, edges: MadeUpEdge[]) {
    this.vars = new Vars(script.vars);
    edges.forEach((edge, n) => this.vars.set(`edge${n + 1}`, edge.url));
    const tokens = script.steps.flatMap((step) => (step.token === undefined ? [] : [step.token]));
    this.tokens = tokens.map((token) => String(this.vars.fill(token)));
    this.lines = lines;
    this.edges = edges;
  }

  async stop(): Promise<void> {
    await this.client?.stop();
  }

  async step(step: Step): Promise<void> {
    // What others do, and when tokens are asked for, is not ours to play.
    if (step.app) await this.app(step.app);
    else if (step.connect) await this.connect(step.connect);
    else if (step.client) await this.hear(step.client);
    else if (step.server) this.open().say(this.vars.fill(step.server));
    else if (step.close) this.open().close(step.close);
    else if (step.close_unless_left) await this.closeUnlessLeft(step.close_unless_left);
    else if (step.cut) this.open().cut();
    else if (step.silence) this.open().freeze();
    else if (step.leave) await this.left();
    else if (step.told) await this.told(step.told);
  }

  private open(): Line {
    if (this.line === undefined) throw new Error("there is no connection");
    return this.line;
  }

  private async connect(edge: string): Promise<void> {
    this.line = await this.lines.next("a connection");
    if (this.line.edge !== this.vars.fill(edge)) throw new Error(`it connects to ${this.line.edge}`);
  }

  private async left(patienceMs?: number): Promise<void> {
    while ((await this.open().frames.next("the end of the connection", patienceMs)) !== undefined);
  }

  private async closeUnlessLeft(code: number): Promise<void> {
    await this.left(Number(this.vars.get("within_ms"))).catch(() => this.open().close(code));
  }

  /** The next frame of the client that is not one of those that it may send at any time. */
  private async hear(expected: JsonObject): Promise<void> {
    for (;;) {
      const frame = await this.open().frames.next(`a frame: ${JSON.stringify(expected)}`);
      if (frame === undefined) throw new Error("it has left");
      const difference = this.vars.meet(expected, frame);
      if (difference === undefined) return;
      const type = String(frame.type);
      if (!(type in FREE)) throw new Error(`it said ${JSON.stringify(frame)}: ${difference}`);
      const answer = FREE[type]?.(frame.id ?? null);
      if (answer) this.open().say(answer);
    }
  }

  private async app(order: JsonObject & { do: string }): Promise<void> {
    if (order.do === "start") return this.start(order.resume);
    if (this.client === undefined) throw new Error("the client is not started");
    if (order.do === "stop") {
      const { client } = this;
      this.client = undefined;
      return client.stop();
    }
    if (order.do === "active") return this.client.setActive(order.active === true);
    const conversation = String(this.vars.fill(order.conversation ?? null));
    if (order.do === "history") {
      const after = Number(this.vars.fill(order.after ?? null));
      this.page = this.client.history(conversation, { after }, Number(order.limit));
      return;
    }
    const target = order.target === undefined ? 0 : Number(this.vars.fill(order.target));
    const text = String(order.text);
    let entry: OutboxEntry;
    if (order.do === "send") entry = await this.client.send(conversation, text);
    else if (order.do === "edit") entry = await this.client.edit(conversation, target, text);
    else if (order.do === "delete") entry = await this.client.delete(conversation, target);
    else throw new Error(`an application cannot do ${order.do}`);
    const difference = this.vars.meet(order.id ?? "$any", entry.id);
    if (difference !== undefined) throw new Error(difference);
  }

  /** A client over what this device remembers; with cursors, as if it had been here before. */
  private async start(resume: Json | undefined): Promise<void> {
    if (resume !== undefined) {
      const cursors = Object.entries(this.vars.fill(resume) as Record<string, number>);
      await this.store.write(cursors.map(([conversation, seq]) => ({ put: "cursor", conversation, seq })));
    }
    const token = () => {
      const next = this.tokens.length > 1 ? this.tokens.shift() : this.tokens[0];
      return Promise.resolve({ token: next ?? "" });
    };
    this.client = createClient({
      server: this.edges[0]!.url,
      tokens: token,
      store: this.store,
      WebSocket: WebSocket as unknown as new (url: string) => SocketLike,
      shareTabs: false,
    });
    this.listen(this.client);
    await this.client.start();
  }

  private listen(client: Client): void {
    client.on("messages", ({ messages }) => {
      for (const message of messages) this.messages.put(message);
    });
    client.on("truncated", (truncated) => this.news.put({ truncated: { ...truncated } }));
    client.on("connection", ({ state }) => {
      if (state === "stopped") this.news.put({ stopped: true });
    });
    client.on("outbox", ({ entry, done }: ClientEvents["outbox"]) => {
      if (typeof done === "object") this.news.put({ acked: { id: entry.id, seq: done.seq } });
      else if (entry.failed) this.news.put({ failed: { id: entry.id, code: entry.failed.code } });
    });
  }

  private async told(what: JsonObject): Promise<void> {
    const [kind, expected] = Object.entries(what)[0] as [keyof Told | "message" | "page", Json];
    if (kind === "message") {
      const message = await this.messages.next("a message");
      const difference = this.vars.meet(expected, message as unknown as Json);
      if (difference !== undefined) throw new Error(difference);
      return;
    }
    if (kind === "page") {
      const difference = this.vars.meet(expected, (await this.page)?.messages as unknown as Json);
      if (difference !== undefined) throw new Error(difference);
      return;
    }
    while (!this.heard.some((told) => this.vars.meet(expected, told[kind]) === undefined)) {
      this.heard.push(await this.news.next(kind));
    }
  }
}

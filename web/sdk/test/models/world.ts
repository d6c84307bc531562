/** A conversation on a server that exists only here, and a client's context on it. */
import type { Api } from "../../src/api/api.js";
import type { Command } from "../../src/engine/engine.js";
import { UnreachableError } from "../../src/errors.js";
import type { Connection, OutboxEntry } from "../../src/events.js";
import { Hub } from "../../src/hub.js";
import type { Context } from "../../src/models/context.js";
import { Ticker } from "../../src/models/observable.js";
import { MemoryStore } from "../../src/store/memory.js";
import { changed, isChange } from "../../src/store/settle.js";
import type { Anchor, Member, Message, Page, Summary } from "../../src/wire.js";
import { DM, ME, OTHER } from "../store/messages.js";

const PAGE_MAX = 200;

/** One conversation. */
export class World implements Context {
  readonly hub = new Hub();
  readonly store = new MemoryStore();
  readonly people = { learn: () => undefined };
  readonly user = { id: ME, name: "Ann", handle: "ann" };
  readonly limits = undefined;
  readonly leader = true;
  readonly conversation: string;
  /** As they were sent. */
  readonly log: Message[] = [];
  entries: OutboxEntry[] = [];
  members: Member[] = [];
  connection: Connection = { state: "online" };
  listed: Summary | undefined;
  /** Anchors that the server was asked for. */
  readonly asked: Anchor[] = [];
  /** While set, the server answers when it is told to. */
  held: (() => void)[] | undefined;
  #ticks: (() => void)[] = [];
  readonly ticker = new Ticker((run) => this.#ticks.push(run));

  constructor(conversation = DM) {
    this.conversation = conversation;
  }

  get head(): number {
    return this.log.at(-1)?.seq ?? 0;
  }

  readonly api = {
    members: () => Promise.resolve(this.members),
    conversation: () => Promise.resolve(this.summary()),
    users: () => Promise.resolve([]),
  } as unknown as Api;

  summary(): Summary | undefined {
    return this.listed;
  }

  outbox(): Promise<OutboxEntry[]> {
    return Promise.resolve(this.entries);
  }

  async ask(command: Command): Promise<never> {
    if (command.do !== "history") throw new Error(`${command.do} is not asked for here`);
    this.asked.push(command.anchor);
    // Answered as of now, and told later.
    const page = this.page(command.anchor, command.limit);
    if (this.held !== undefined) await new Promise<void>((resolve) => this.held!.push(resolve));
    if (this.connection.state !== "online") throw new UnreachableError("no answer");
    return page as never;
  }

  /** A message of the server's log, in its state now. */
  state(seq: number): Message {
    let message = this.log.find((other) => other.seq === seq)!;
    for (const change of this.log) if (isChange(change)) message = changed(message, change);
    return message;
  }

  page(anchor: Anchor, limit = 50): Page {
    const count = Math.min(limit, PAGE_MAX);
    const index = (seq: number) => this.log.findIndex((message) => message.seq >= seq);
    const end = this.log.length;
    const bounded = (at: number) => (at < 0 ? end : at);
    let [from, to] = [Math.max(0, end - count), end];
    if (anchor.before !== undefined) {
      to = bounded(index(anchor.before));
      from = Math.max(0, to - count);
    } else if (anchor.after !== undefined) {
      from = bounded(index(anchor.after + 1));
      to = Math.min(end, from + count);
    } else if (anchor.around !== undefined || anchor.at !== undefined) {
      const at =
        anchor.around !== undefined
          ? bounded(index(anchor.around))
          : bounded(this.log.findIndex((message) => message.sent_at >= anchor.at!));
      from = Math.max(0, at - Math.floor(count / 2));
      to = Math.min(end, from + count);
    }
    return {
      conversation: this.conversation,
      messages: this.log.slice(from, to).map(({ seq }) => this.state(seq)),
      head: this.head,
      more_before: from > 0,
      more_after: to < end,
    };
  }

  /** Messages are stored on the server, without being heard. */
  storeUnheard(...messages: Message[]): void {
    this.log.push(...messages);
  }

  /** Messages are stored and heard, as an engine tells them. */
  async say(...messages: Message[]): Promise<void> {
    this.log.push(...messages);
    await this.hear(...messages);
  }

  async hear(...messages: Message[]): Promise<void> {
    const { conversation } = this;
    await this.store.write([
      { put: "messages", conversation, messages },
      { put: "cursor", conversation, seq: messages.at(-1)!.seq },
    ]);
    this.hub.emit("messages", { conversation, messages, live: true });
  }

  connect(state: Connection["state"]): void {
    this.connection = { state };
    this.hub.emit("connection", this.connection);
  }

  /** A frame passes: models tell of what changed. */
  tick(): void {
    for (const run of this.#ticks.splice(0)) run();
  }

  list(rest: Partial<Summary> = {}): void {
    const cursor = { delivered: 0, read: 0 };
    const peer = { id: OTHER, name: "Bob" };
    this.listed = { conversation: this.conversation, head: this.head, unread: 0, cursor, peer, ...rest };
  }
}

/** Lets promises run until a condition holds. */
export async function until(holds: () => boolean): Promise<void> {
  const end = performance.now() + 5_000;
  while (performance.now() < end) {
    if (holds()) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error(`it does not come to hold: ${holds.toString()}`);
}

/**
 * A machine with everything around it made up: time, chance, network, store, token source. Nothing in it waits.
 *
 * @module
 */
import {
  type ClientEvent,
  type ClientFrame,
  type Conversation,
  type Message,
  type MessageId,
  type OutboxEntry,
  type Seq,
  type ServerFrame,
} from "../../../src/index.js";
import type { Command } from "../../../src/engine/engine.js";
import { DEFAULTS, type Input, type Output, type Settings } from "../../../src/engine/machine/io.js";
import { Machine } from "../../../src/engine/machine/machine.js";
import { VALUES } from "../../../src/engine/machine/parts.js";
import { believed } from "../../../src/engine/named.js";
import type { Change, Opening } from "../../../src/store/store.js";
import { SimServer } from "./sim-server.js";

const SERVER = "https://chat.example.com";

/** What the machine told, in order. */
export type Told = ClientEvent;

/** What the network does. */
export interface Network {
  /** New sockets come to be. */
  reachable: boolean;
  /** Frames reach the other side; if not, nobody hears that they do not: half-open. */
  flowing: boolean;
  latencyMs: number;
}

export class World {
  now = 0;
  readonly network: Network = { reachable: true, flowing: true, latencyMs: 10 };
  readonly server: SimServer;
  readonly events: Told[] = [];
  readonly answers = new Map<number, unknown>();
  readonly rejected = new Map<number, Error>();
  /** What is in the store, as the next run finds it. */
  readonly kept = {
    outbox: new Map<MessageId, OutboxEntry>(),
    cursors: new Map<Conversation, Seq>(),
    messages: new Map<Conversation, Map<Seq, Message>>(),
    values: new Map<string, unknown>(),
    writes: 0,
  };
  /** How long a write takes. */
  writeMs = 2;
  /** The next token; `undefined`: there is none. */
  token: string | undefined = "token-1";
  tokensAsked: (string | undefined)[] = [];
  connects: string[] = [];
  machine: Machine;
  #queue: { at: number; order: number; work: () => void }[] = [];
  #order = 0;
  #socket: number | undefined;
  #tickets = 0;
  #ids = 0;
  #run = 0;
  #ledger: (Output & { type: "keep" })[] = [];
  #writing = false;
  readonly #random: () => number;
  readonly #settings: Settings;

  readonly #discover: boolean;

  constructor(random: () => number = () => 0.5, settings: Partial<Settings> = {}, discover = false) {
    this.#random = random;
    this.#discover = discover;
    this.#settings = { ...DEFAULTS, ...settings };
    const later = (socket: number, input: Input): void => {
      if (!this.network.flowing) return;
      this.#after(this.network.latencyMs, () => socket === this.#socket && this.input(input));
    };
    this.server = new SimServer(
      (socket, frame: ServerFrame) => later(socket, { type: "heard", socket, frame }),
      (socket, code) => later(socket, { type: "closed", socket, code }),
    );
    this.machine = this.#made();
  }

  /** The page is closed, or crashes, and opened again: what is not in the store is gone. */
  restart(): void {
    this.#run += 1;
    this.#socket = undefined;
    this.#ledger = [];
    this.#writing = false;
    this.machine = this.#made();
    this.start();
  }

  start(): void {
    this.input({ type: "start" });
  }

  input(input: Input): void {
    for (const output of this.machine.input(this.now, input)) this.#do(output);
  }

  ask(command: Command): number {
    this.#tickets += 1;
    this.input({ type: "command", ticket: this.#tickets, command });
    return this.#tickets;
  }

  send(conversation: Conversation, text = "text"): number {
    return this.ask({ do: "enqueue", conversation, content: { kind: "text", text } });
  }

  /** The connection breaks, and both sides hear it. */
  cut(code?: number): void {
    const socket = this.#socket;
    if (socket === undefined) return;
    this.#socket = undefined;
    this.server.session = undefined;
    this.input({ type: "closed", socket, code });
  }

  /** Something comes from the server that it would not say by itself. */
  hear(frame: ServerFrame): void {
    this.input({ type: "heard", socket: this.#socket!, frame });
  }

  /** Lets time pass. */
  pass(ms: number): void {
    const end = this.now + ms;
    for (let steps = 0; ; steps += 1) {
      if (steps > 100_000) throw new Error("the machine is busy for nothing");
      const due = this.machine.deadline;
      const next = this.#queue[0];
      const tickAt = due === undefined ? Infinity : Math.max(due, this.now);
      const at = Math.max(Math.min(tickAt, next?.at ?? Infinity), this.now);
      if (at > end) break;
      this.now = at;
      if (next !== undefined && next.at <= Math.max(tickAt, this.now)) {
        this.#queue.shift();
        next.work();
      } else {
        this.input({ type: "tick" });
      }
    }
    this.now = end;
  }

  /** The device sleeps: time passes, and nothing runs. */
  sleep(ms: number): void {
    this.now += ms;
  }

  /** The events of a kind. */
  told<K extends Told["type"]>(type: K): Extract<Told, { type: K }>[] {
    return this.events.filter((event) => event.type === type) as Extract<Told, { type: K }>[];
  }

  /** The sequences of a conversation in the order in which they were told. */
  seqs(conversation: Conversation): Seq[] {
    const of = this.told("messages").filter((event) => event.conversation === conversation);
    return of.flatMap((event) => event.messages.map((message) => message.seq));
  }

  /** What the server heard of a kind. */
  said<T extends ClientFrame["type"]>(type: T): Extract<ClientFrame, { type: T }>[] {
    return this.server.said.filter((frame) => frame.type === type) as Extract<ClientFrame, { type: T }>[];
  }

  /** The time of day. */
  get wall(): number {
    return 1_700_000_000_000 + this.now;
  }

  get state(): string {
    return this.machine.connection.state;
  }

  #made(): Machine {
    const { outbox, cursors, values } = this.kept;
    const opening: Opening = {
      outbox: structuredClone([...outbox.values()]),
      cursors: new Map(cursors),
      summaries: [],
      drafts: new Map(),
    };
    const user = values.get(VALUES.user) as { id: string } | undefined;
    const reads = (values.get(VALUES.reads) ?? {}) as Record<Conversation, Seq>;
    const edges = believed(values.get(VALUES.edges), this.wall);
    return new Machine({
      settings: this.#settings,
      server: SERVER,
      discover: this.#discover,
      device: () => undefined,
      opening,
      remembered: { resumes: user !== undefined, me: user?.id, reads, edges },
      random: this.#random,
      makeId: () => `own-${(this.#ids += 1)}`,
      wall: () => this.wall,
    });
  }

  #do(output: Output): void {
    switch (output.type) {
      case "emit":
      case "answer":
      case "reject":
        return this.#keep({ type: "keep", changes: [], tell: [output] });
      case "keep":
        return this.#keep(output);
      case "send":
        return this.#sent(output.frame);
      case "connect":
        this.connects.push(output.server);
        this.#socket = output.socket;
        this.#after(this.network.latencyMs, () => {
          if (this.#socket !== output.socket) return;
          if (this.network.reachable) this.input({ type: "opened", socket: output.socket });
          else this.cut();
        });
        return;
      case "close":
        this.#socket = undefined;
        this.server.session = undefined;
        return;
      case "token": {
        this.tokensAsked.push(output.refused);
        const { token } = this;
        this.#after(this.network.latencyMs, () => {
          if (token === undefined) this.input({ type: "no_token", why: "signed_out" });
          else this.input({ type: "token", token: { token, expiresAt: 10_000_000 } });
        });
        return;
      }
      case "edges":
        this.#after(this.network.latencyMs, () => this.input({ type: "edges", urls: undefined }));
    }
  }

  #sent(frame: ClientFrame): void {
    const socket = this.#socket;
    if (socket === undefined || !this.network.flowing) return;
    this.#after(this.network.latencyMs, () => socket === this.#socket && this.server.hear(socket, frame));
  }

  /** As the ledger: one write at a time, and what is told waits for what was kept before. */
  #keep(entry: Output & { type: "keep" }): void {
    this.#ledger.push(entry);
    if (!this.#writing) this.#write();
  }

  #write(): void {
    const entry = this.#ledger.shift();
    if (entry === undefined) return;
    const done = (): void => {
      this.#writing = false;
      for (const change of entry.changes) this.#apply(change);
      for (const telling of entry.tell) {
        if (telling.type === "emit") this.events.push({ type: telling.event, ...telling.body } as Told);
        else if (telling.type === "answer") this.answers.set(telling.ticket, telling.answer);
        else this.rejected.set(telling.ticket, telling.error);
      }
      if (entry.back !== undefined) this.input(entry.back);
      if (!this.#writing) this.#write();
    };
    if (entry.changes.length === 0) return done();
    this.#writing = true;
    this.kept.writes += 1;
    this.#after(this.writeMs, done);
  }

  #apply(change: Change): void {
    const { outbox, cursors, messages, values } = this.kept;
    if ("drop" in change) {
      if (change.drop === "outbox") outbox.delete(change.id);
      if (change.drop !== "messages") return;
      const of = messages.get(change.conversation);
      for (const seq of of?.keys() ?? []) if (seq <= change.upTo) of!.delete(seq);
      return;
    }
    switch (change.put) {
      case "outbox":
        return void outbox.set(change.entry.id, structuredClone(change.entry));
      case "cursor":
        return void cursors.set(
          change.conversation,
          Math.max(cursors.get(change.conversation) ?? 0, change.seq),
        );
      case "value":
        return void values.set(change.name, structuredClone(change.value));
      case "messages": {
        const of = messages.get(change.conversation) ?? new Map<Seq, Message>();
        for (const message of change.messages) of.set(message.seq, message);
        return void messages.set(change.conversation, of);
      }
      default:
    }
  }

  #after(ms: number, work: () => void): void {
    const run = this.#run;
    this.#order += 1;
    this.#queue.push({ at: this.now + ms, order: this.#order, work: () => run === this.#run && work() });
    this.#queue.sort((one, other) => one.at - other.at || one.order - other.order);
  }
}

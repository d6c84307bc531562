/**
 * People of the live tests: an account, and as many devices with an engine as a test wants.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { inject, onTestFinished } from "vitest";
import { WebSocket } from "ws";
import { openVault } from "../../src/account/vault.js";
import { LocalEngine } from "../../src/engine/local.js";
import type { Settings } from "../../src/engine/machine/io.js";
import { messageIds } from "../../src/engine/uuid.js";
import {
  type Account,
  type Accounts,
  type ClientEvent,
  type ClientOptions,
  type Connection,
  type Conversation,
  MemoryStore,
  type OutboxEntry,
  type Reason,
  type Seq,
  type SocketLike,
  type TokenSource,
  accounts,
} from "../../src/index.js";

/** The server; the tests of a file are skipped without one. */
export const SERVER = inject("server");

/** Nothing on this machine takes longer. */
const PATIENCE_MS = 30_000;

/** Looks again and again until it is so; fails with what it saw last. */
export async function until<T>(
  look: () => T | Promise<T>,
  isSo: (seen: T) => boolean,
  patienceMs = PATIENCE_MS,
): Promise<T> {
  const end = performance.now() + patienceMs;
  for (;;) {
    const seen = await look();
    if (isSo(seen)) return seen;
    if (performance.now() > end) throw new Error(`it did not come to be: ${JSON.stringify(seen)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const NodeSocket = WebSocket as unknown as new (url: string) => SocketLike;
const PASSWORD = "correct horse battery staple";

/** What a test may choose. */
export interface DeviceOptions extends Partial<ClientOptions> {
  store?: MemoryStore;
  settings?: Partial<Settings>;
}

/** One device of a person, with all that it was told. */
export class Device {
  readonly events: ClientEvent[] = [];
  readonly store: MemoryStore;
  readonly engine: LocalEngine;

  private constructor(store: MemoryStore, engine: (device: Device) => LocalEngine) {
    this.store = store;
    this.engine = engine(this);
    onTestFinished(() => this.engine.stop());
  }

  static async open(tokens: TokenSource, options: DeviceOptions = {}): Promise<Device> {
    const { store = new MemoryStore(), settings = {}, ...rest } = options;
    const opening = await store.open();
    const made = { server: SERVER, tokens, WebSocket: NodeSocket, discover: false, ...rest };
    const emit = (device: Device) => (type: string, event: object) =>
      void device.events.push({ type, ...event } as ClientEvent);
    return new Device(
      store,
      (device) => new LocalEngine({ options: made, store, opening, emit: emit(device) }, settings),
    );
  }

  /** The events of a kind. */
  told<K extends ClientEvent["type"]>(type: K): Extract<ClientEvent, { type: K }>[] {
    return this.events.filter((event) => event.type === type) as Extract<ClientEvent, { type: K }>[];
  }

  /** The texts of a conversation in the order in which they were told. */
  texts(conversation: Conversation): (string | undefined)[] {
    const messages = this.told("messages").filter((event) => event.conversation === conversation);
    return messages.flatMap((event) =>
      event.messages.map((message) => ("text" in message ? message.text : undefined)),
    );
  }

  send(conversation: Conversation, text: string, id?: string): Promise<OutboxEntry> {
    const content = { kind: "text" as const, text };
    return this.engine.ask({ do: "enqueue", conversation, content, ...(id !== undefined && { id }) });
  }

  /** Sends it and waits until it is on disk: its place. */
  async say(conversation: Conversation, text: string, id?: string): Promise<Seq> {
    const entry = await this.send(conversation, text, id);
    return this.stored(entry.id);
  }

  /** Waits until the entry is on disk: its place. */
  async stored(id: string): Promise<Seq> {
    const seqs = (): Seq[] =>
      this.told("outbox").flatMap(({ entry, done }) =>
        entry.id === id && typeof done === "object" ? [done.seq] : [],
      );
    return (await until(seqs, (seen) => seen.length > 0)).at(-1)!;
  }

  /** Waits for a state, and for its reason if there is one to wait for. */
  async is(state: Connection["state"], reason?: Reason): Promise<this> {
    const isSo = (seen: Connection): boolean =>
      seen.state === state && (reason === undefined || seen.reason === reason);
    await until(() => this.engine.connection, isSo);
    return this;
  }

  /** Waits until there is no connection, for that reason. */
  async lost(reason: Reason, patienceMs?: number): Promise<void> {
    await until(
      () => this.engine.connection,
      (seen) => seen.state !== "online" && seen.reason === reason,
      patienceMs,
    );
  }

  /** Waits for the texts of a conversation. */
  async hears(conversation: Conversation, texts: (string | undefined)[]): Promise<void> {
    await until(
      () => this.texts(conversation),
      (seen) => JSON.stringify(seen) === JSON.stringify(texts),
    );
  }
}

/** A person with an account on one device of theirs. */
export class Person {
  readonly accounts: Accounts;
  readonly account: Account;

  private constructor(theirs: Accounts, account: Account) {
    this.accounts = theirs;
    this.account = account;
  }

  static async signUp(name: string): Promise<Person> {
    const theirs = accounts({ server: SERVER, vault: openVault(undefined) });
    const handle = `${name}-${randomBytes(4).toString("hex")}`;
    return new Person(theirs, await theirs.signUp(handle, PASSWORD, name));
  }

  /** The same person on another device. */
  async elsewhere(): Promise<Person> {
    const theirs = accounts({ server: SERVER, vault: openVault(undefined) });
    return new Person(theirs, await theirs.logIn(this.account.user.handle!, PASSWORD));
  }

  get tokens(): TokenSource {
    return this.accounts.tokens(this.account);
  }

  /** The 1:1 chat with another. */
  dm(other: Person): Conversation {
    const ids = [this.account.user.id, other.account.user.id].sort();
    return `dm.${ids[0]}.${ids[1]}`;
  }

  /** Writes so many messages over HTTP, many at a time and in no order. */
  async fill(conversation: Conversation, count: number): Promise<void> {
    const { token } = await this.tokens({});
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const makeId = messageIds(Date.now);
    const post = async (): Promise<void> => {
      const body = JSON.stringify({ id: makeId(), text: "one of many" });
      const url = `${SERVER}/v1/conversations/${conversation}/messages`;
      const answer = await fetch(url, { method: "POST", headers, body });
      if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
    };
    for (let left = count; left > 0; left -= 50) {
      await Promise.all(Array.from({ length: Math.min(left, 50) }, post));
    }
  }

  /** Starts an engine. */
  device(options?: DeviceOptions): Promise<Device> {
    return Device.open(this.tokens, options);
  }

  /** Starts an engine, and waits until it is connected. */
  async online(options?: DeviceOptions): Promise<Device> {
    return (await this.device(options)).is("online");
  }
}

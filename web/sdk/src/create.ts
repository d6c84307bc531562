/**
 * `createClient`: puts the parts of a client together.
 *
 * @module
 */
import { type Api, createSharingApi } from "./sharing.js";
import type { Client, ClientOptions } from "./client.js";
import { checkedCommand, checkedConversation, checkedSeq, checkedUser } from "./check.js";
import { dmOf } from "./conversation.js";
import type { Answers, Command } from "./engine/engine.js";
import { EDGES } from "./engine/named.js";
import { StoppedError, UsageError } from "./errors.js";
import type { ClientEvent, ClientEvents, Connection, OutboxEntry } from "./events.js";
import { Hub } from "./hub.js";
import type { Context } from "./models/context.js";
import { ListModel } from "./models/list.js";
import type { Thread } from "./models/models.js";
import { Ticker } from "./models/observable.js";
import { PeopleModel } from "./models/people.js";
import { ThreadModel } from "./models/thread.js";
import { IndexedDbStore } from "./store/indexeddb.js";
import { SafeStore } from "./store/safe.js";
import { MemoryStore } from "./store/memory.js";
import type { Store } from "./store/store.js";
import { LateSeat } from "./tabs/late.js";
import type { Note } from "./tabs/seat.js";
import { checkedText } from "./text.js";
import type { Anchor, Conversation, Limits, MessageId, Page, Profile, Seq, Summary, UserId } from "./wire.js";

/** Makes a client; {@link Client.start} sets it going. */
export function createClient(options: ClientOptions): Client {
  return new AssembledClient(options);
}

class AssembledClient implements Client, Context {
  readonly hub = new Hub();
  readonly ticker = new Ticker();
  readonly store: Store;
  readonly api: Api;
  readonly people: PeopleModel;
  readonly conversations: ListModel;
  readonly #options: ClientOptions;
  readonly #seat: LateSeat;
  readonly #threads = new Set<ThreadModel>();
  readonly #cleanup: (() => void)[] = [];
  /** As they were when it began. */
  #cursors: ReadonlyMap<Conversation, Seq> = new Map();
  #started: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;
  #user: Profile | undefined;
  #limits: Limits | undefined;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.store = options.store ?? this.#defaultStore(options.account);
    // What the connection was told of edges, in whichever tab it is.
    const memory = { get: () => this.store.value(EDGES) };
    this.api = createSharingApi({ ...options, memory }, (note) => this.#share(note));
    const tell = { emit: this.hub.emit, note: (note: Note) => this.#heard(note) };
    // What is kept is shown without it.
    const load = async () =>
      (await import("./tabs/take.js")).takeSeat(options, this.store, tell, this.#cursors);
    this.#seat = new LateSeat(load, this.hub.emit);
    // First of all listeners, so that the others find it known.
    this.hub.on("ready", ({ user, limits }) => this.#ready(user, limits));
    this.people = new PeopleModel(this);
    this.conversations = new ListModel(this, this.people);
  }

  get connection(): Connection {
    return this.#seat.connection;
  }

  get leader(): boolean {
    return this.#seat.leader;
  }

  get user(): Profile | undefined {
    return this.#user;
  }

  get limits(): Limits | undefined {
    return this.#limits;
  }

  start(): Promise<void> {
    this.#started ??= this.#start();
    return this.#started;
  }

  async #start(): Promise<void> {
    if ((this.#options.WebSocket ?? globalThis.WebSocket) === undefined) {
      throw new UsageError("there is no WebSocket here: pass one, such as that of `ws`");
    }
    const opening = await this.store.open();
    this.#cursors = opening.cursors;
    const [user, limits] = await Promise.all([this.store.value("user"), this.store.value("limits")]);
    this.#user ??= user as Profile | undefined;
    this.#limits ??= limits as Limits | undefined;
    this.conversations.open(opening);
    // In the background: what was asked meanwhile is done once there is a connection to ask.
    this.#seat.start().catch((error: Error) => this.hub.emit("storage", { error }));
    this.#followPage();
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    for (const undo of this.#cleanup.splice(0)) undo();
    for (const thread of this.#threads) thread.close();
    this.people.close();
    await this.#started?.catch(() => undefined);
    // While this tab still leads, and so may write.
    await this.conversations.close();
    await this.#seat.stop();
    this.hub.end();
    this.store.close();
  }

  on<K extends keyof ClientEvents>(type: K, listener: (event: ClientEvents[K]) => void): () => void {
    return this.hub.on(type, listener);
  }

  events(): AsyncIterableIterator<ClientEvent> {
    return this.hub.events();
  }

  async ask<C extends Command>(command: C): Promise<Answers[C["do"]]> {
    if (this.#started === undefined) throw new UsageError("start the client first");
    if (this.#stopped !== undefined) throw new StoppedError("the client was stopped");
    const checked = checkedCommand(command);
    await this.#started;
    return this.#seat.ask(checked);
  }

  summary(conversation: Conversation): Summary | undefined {
    return this.conversations.get(conversation)?.summary;
  }

  async outbox(): Promise<OutboxEntry[]> {
    await this.#started;
    return this.#seat.taken ? this.#seat.outbox() : (await this.store.open()).outbox;
  }

  thread(conversation: Conversation): Thread {
    const thread = new ThreadModel(this, conversation, () => this.#threads.delete(thread));
    this.#threads.add(thread);
    return thread;
  }

  async send(
    conversation: Conversation,
    text: string,
    options: { replyTo?: Seq } = {},
  ): Promise<OutboxEntry> {
    const content = { kind: "text", text: checkedText(text, this.#limits), ...options } as const;
    return this.ask({ do: "enqueue", conversation, content });
  }

  async edit(conversation: Conversation, target: Seq, text: string): Promise<OutboxEntry> {
    const content = { kind: "edit", target, text: checkedText(text, this.#limits) } as const;
    return this.ask({ do: "enqueue", conversation, content });
  }

  delete(conversation: Conversation, target: Seq): Promise<OutboxEntry> {
    return this.ask({ do: "enqueue", conversation, content: { kind: "delete", target } });
  }

  retry(id: MessageId): Promise<OutboxEntry> {
    return this.ask({ do: "retry", id });
  }

  async discard(id: MessageId): Promise<void> {
    await this.ask({ do: "discard", id });
  }

  async read(conversation: Conversation, seq: Seq): Promise<void> {
    const asked = this.ask({ do: "read", conversation, seq: checkedSeq(seq) });
    this.conversations.read(conversation, seq);
    await asked;
  }

  typing(conversation: Conversation, active: boolean): void {
    this.ask({ do: "typing", conversation: checkedConversation(conversation), active }).catch(ignore);
  }

  async draft(conversation: Conversation): Promise<string> {
    return this.store.draft(conversation);
  }

  async setDraft(conversation: Conversation, text: string): Promise<void> {
    const note = { note: "draft", conversation, text } as const;
    this.conversations.setDraft(conversation, text);
    await this.store.write([{ put: "draft", conversation, text }]);
    this.#seat.tell(note);
  }

  setActive(active: boolean): void {
    this.ask({ do: "active", tab: "", active }).catch(ignore);
  }

  hurry(): void {
    this.ask({ do: "hurry" }).catch(ignore);
  }

  history(conversation: Conversation, anchor: Anchor, limit?: number): Promise<Page> {
    return this.ask({ do: "history", conversation, anchor, ...(limit !== undefined && { limit }) });
  }

  dm(user: UserId): Conversation {
    if (this.#user === undefined)
      throw new UsageError("who one is, is not known before the first connection");
    return dmOf(this.#user.id, checkedUser(user));
  }

  #defaultStore(account: string | undefined): Store {
    if (account === undefined || typeof indexedDB === "undefined") return new MemoryStore();
    const failed = (error: Error) => this.hub.emit("storage", { error });
    return new SafeStore((events) => new IndexedDbStore(account, events), failed);
  }

  #ready(user: Profile, limits: Limits): void {
    this.#user = user;
    this.#limits = limits;
    this.people.learn([user]);
  }

  /** Something was learned that is no event: here, and in the other tabs. */
  #share(note: Note): void {
    this.#heard(note);
    this.#seat.tell(note);
  }

  #heard(note: Note): void {
    if (note.note === "summary") this.conversations.told([note.summary]);
    if (note.note === "draft") this.conversations.setDraft(note.conversation, note.text);
  }

  /** In a page, somebody looks while it is visible; elsewhere always, until it is said otherwise. */
  #followPage(): void {
    if (typeof document === "undefined") return this.setActive(true);
    const tell = () => {
      const visible = document.visibilityState === "visible";
      this.setActive(visible);
      // The tab that leads may be one that nobody looks at, whose timers run slowly.
      if (visible) this.hurry();
    };
    document.addEventListener("visibilitychange", tell);
    this.#cleanup.push(() => document.removeEventListener("visibilitychange", tell));
    tell();
  }
}

function ignore(): void {
  // Repeated by whoever cares: it is of the moment.
}

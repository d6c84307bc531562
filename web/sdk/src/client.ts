/**
 * The client: what an application makes one of for each signed-in user.
 *
 * @module
 */
import type { Api } from "./api/api.js";
import type { ClientEvent, ClientEvents, Connection, OutboxEntry } from "./events.js";
import type { ConversationList, People, Thread } from "./models/models.js";
import type { Store } from "./store/store.js";
import type { TokenSource } from "./account/tokens.js";
import type { Anchor, Conversation, Limits, MessageId, Page, Profile, Seq } from "./wire.js";

/** The part of the standard WebSocket that is used; `ws` on Node 20 fits. */
export interface SocketLike {
  readonly readyState: number;
  readonly bufferedAmount: number;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(data: string): void;
  close(code?: number, reason?: string): void;
}

/** What a client is made of. */
export interface ClientOptions {
  /** Where the API is: `https://chat.example.com`. */
  server: string;
  /** Who one is. */
  tokens: TokenSource;
  /**
   * Names the account on this device: the user's id, or what the application calls them. What is kept and which
   * tabs belong together hang on it. Without one nothing outlives the page, and each tab has its own connection.
   */
  account?: string;
  /** Where to remember; without one, IndexedDB where there is one and an `account` is named, else memory. */
  store?: Store;
  /** Without one, the global `WebSocket`; Node 20 has none: pass that of `ws`. */
  WebSocket?: new (url: string) => SocketLike;
  fetch?: typeof fetch;
  /**
   * Whether tabs of one origin share one connection; true where Web Locks, BroadcastChannel and an `account` are,
   * unless a `store` is passed, which other tabs may not see.
   */
  shareTabs?: boolean;
  /** Named in the server's logs: "example 1.0". */
  name?: string;
  /** Prefer edges of this region. */
  region?: string;
  /** Whether edges are asked for (`GET /v1/edges`); true. Without, only `server` is used. */
  discover?: boolean;
}

/**
 * A signed-in user's connection, memory and lists. Made by {@link createClient}.
 *
 * Names of conversations, ids of users and sequences that no server knows are refused with a `UsageError`,
 * before anything is kept or sent.
 */
export interface Client {
  readonly connection: Connection;
  /** Known from the last run before the first connection, if this device was here before. */
  readonly user: Profile | undefined;
  readonly limits: Limits | undefined;
  readonly leader: boolean;
  readonly conversations: ConversationList;
  readonly people: People;
  /** HTTP: groups, devices, mutes, profile, search of users. */
  readonly api: Api;

  /** Opens the store, shows what is there, and connects in the background. */
  start(): Promise<void>;
  /** Closes the connection (or leaves it to another tab) and frees everything. */
  stop(): Promise<void>;
  on<K extends keyof ClientEvents>(type: K, listener: (event: ClientEvents[K]) => void): () => void;
  /** All events from now on. Ends when the client stops or the loop is left. Keep up: it buffers. */
  events(): AsyncIterableIterator<ClientEvent>;

  thread(conversation: Conversation): Thread;
  /** Resolves once it is kept and will be sent, come what may; rejects a text that the limits forbid. */
  send(conversation: Conversation, text: string, options?: { replyTo?: Seq }): Promise<OutboxEntry>;
  edit(conversation: Conversation, target: Seq, text: string): Promise<OutboxEntry>;
  delete(conversation: Conversation, target: Seq): Promise<OutboxEntry>;
  retry(id: MessageId): Promise<OutboxEntry>;
  discard(id: MessageId): Promise<void>;
  /** Read up to there, or to the end if that comes before. */
  read(conversation: Conversation, seq: Seq): Promise<void>;
  /** Say it with each key; it is sent as often as it is worth. */
  typing(conversation: Conversation, active: boolean): void;
  /** The text that was begun, kept on this device. */
  draft(conversation: Conversation): Promise<string>;
  setDraft(conversation: Conversation, text: string): Promise<void>;
  /**
   * Whether somebody looks at the application. In a page it follows the page's visibility by itself, and what is
   * said here counts until that changes; elsewhere it is true until it is said otherwise.
   */
  setActive(active: boolean): void;
  /** Ends a wait between attempts. */
  hurry(): void;
  /** A page straight from the server. */
  history(conversation: Conversation, anchor: Anchor, limit?: number): Promise<Page>;
  /** The conversation with a user: `dm.<a>.<b>`. */
  dm(user: string): Conversation;
}

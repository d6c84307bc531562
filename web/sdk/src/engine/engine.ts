/**
 * The seam between the connection and everything above it.
 *
 * The tab that leads has a {@link LocalEngine} (state machine, socket, timers); the others have one that asks
 * the leader. What stands above cannot tell which it has.
 *
 * @module
 */
import type { ClientOptions } from "../client.js";
import type { ClientEvents, Connection, OutboxEntry } from "../events.js";
import type { Opening, Store } from "../store/store.js";
import type { Anchor, Conversation, ConversationPage, MessageId, Page, Seq, UserId } from "../wire.js";

/** What can be asked of a connection. Plain data, so that it passes between tabs. */
export type Command =
  /** Answered once it is kept in the store. */
  | { do: "enqueue"; conversation: Conversation; content: OutboxEntry["content"]; id?: MessageId }
  /** A refused entry is tried again: with its own id while the refusal was of the session, else as a new message. */
  | { do: "retry"; id: MessageId }
  | { do: "discard"; id: MessageId }
  /** Read up to here (collected for a moment before it is sent; kept over a restart until it was). */
  | { do: "read"; conversation: Conversation; seq: Seq }
  | { do: "typing"; conversation: Conversation; active: boolean }
  /** What this tab shows of people; the engine watches the union of all tabs. */
  | { do: "watch"; tab: string; users: UserId[] }
  /** Whether this tab is in the foreground; the device is while any is. */
  | { do: "active"; tab: string; active: boolean }
  | { do: "history"; conversation: Conversation; anchor: Anchor; limit?: number }
  | { do: "conversations"; page?: string }
  /** The network is back, or a person pressed "try now": end a wait at once. */
  | { do: "hurry" }
  /** The tab is gone: forget what it watched. */
  | { do: "leave"; tab: string };

/** What a command answers. */
export interface Answers {
  enqueue: OutboxEntry;
  retry: OutboxEntry;
  discard: null;
  read: null;
  typing: null;
  watch: null;
  active: null;
  history: Page;
  conversations: ConversationPage;
  hurry: null;
  leave: null;
}

/** A connection, in this tab or in another one. */
export interface Engine {
  /**
   * Does it.
   *
   * @throws {ServerError} The server refused it.
   * @throws {UnreachableError} No answer in time, reconnects included.
   * @throws {StoppedError} The client has stopped.
   */
  ask<C extends Command>(command: C): Promise<Answers[C["do"]]>;
  /** The state now. */
  readonly connection: Connection;
  /** What is not on disk yet, by conversation and order. */
  outbox(): Promise<OutboxEntry[]>;
  stop(): Promise<void>;
}

/** Where an engine tells what happened: after it is in the store. */
export type Emit = <K extends keyof ClientEvents>(type: K, event: ClientEvents[K]) => void;

/** What a {@link LocalEngine} is made of: `new LocalEngine(parts)` connects at once, in the background. */
export interface EngineParts {
  options: ClientOptions;
  /** Open. */
  store: Store;
  opening: Opening;
  emit: Emit;
}

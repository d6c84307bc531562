/**
 * What a device remembers of one user: recent history, the outbox, cursors, who people are.
 *
 * All of it but the outbox is a copy of what the server has: safe to lose, and bounded.
 *
 * @module
 */
import type { OutboxEntry } from "../events.js";
import type { Conversation, Message, MessageId, Profile, Seq, Summary, UserCursor } from "../wire.js";

/** One change. A list of them is written as a whole or not at all. */
export type Change =
  /**
   * Messages as the server told them. An edit or a deletion among them is also applied to its target if that is
   * kept, now or later; a newer state of a message is never replaced by an older one.
   */
  | { put: "messages"; conversation: Conversation; messages: Message[] }
  /** Messages up to a place may have been edited or deleted without a word: they go, and are asked for again. */
  | { drop: "messages"; conversation: Conversation; upTo: Seq }
  /** Up to here nothing is missing: the cursor of the next `hello.resume`. Only rises. */
  | { put: "cursor"; conversation: Conversation; seq: Seq }
  | { put: "outbox"; entry: OutboxEntry }
  | { drop: "outbox"; id: MessageId }
  | { put: "summaries"; summaries: Summary[] }
  /** One is no longer in the conversation: everything of it goes, but what is unsent. */
  | { drop: "conversation"; conversation: Conversation }
  | { put: "receipts"; conversation: Conversation; cursors: UserCursor[] }
  | { put: "profiles"; profiles: Profile[] }
  /** A text that was begun; an empty one takes it away. */
  | { put: "draft"; conversation: Conversation; text: string }
  /** A small value of the SDK's own or the application's, by name. */
  | { put: "value"; name: string; value: unknown };

/** What is needed before the first frame. */
export interface Opening {
  outbox: OutboxEntry[];
  cursors: Map<Conversation, Seq>;
  summaries: Summary[];
  /** Texts that were begun. */
  drafts: Map<Conversation, string>;
}

/** Which messages are asked for. */
export interface MessageQuery {
  before?: Seq;
  after?: Seq;
  limit: number;
  /** Nobody looks at them: the conversation does not count as opened. */
  unseen?: boolean;
}

/** Where it is kept: {@link IndexedDbStore} in browsers, {@link MemoryStore} elsewhere, or one of your own. */
export interface Store {
  /** May be called again: what is kept now. */
  open(): Promise<Opening>;
  /** Resolves once all of it is durable. */
  write(changes: Change[]): Promise<void>;
  /**
   * At most `limit` messages that are kept before or after a place, ascending; without a place, the newest.
   * They may have holes: each message's `prev` tells.
   */
  messages(conversation: Conversation, query: MessageQuery): Promise<Message[]>;
  /** One message, if it is kept. */
  message(conversation: Conversation, seq: Seq): Promise<Message | undefined>;
  /** How far each member had got when it was last heard. */
  receipts(conversation: Conversation): Promise<UserCursor[]>;
  profiles(ids: string[]): Promise<Profile[]>;
  draft(conversation: Conversation): Promise<string>;
  value(name: string): Promise<unknown>;
  /** Everything of this user goes from this device: for signing out. */
  destroy(): Promise<void>;
  close(): void;
}

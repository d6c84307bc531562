/**
 * What an application shows: lists that keep themselves up to date.
 *
 * Each model hands out immutable snapshots and tells subscribers that there is a new one, at most once a frame
 * or 16 ms. An unchanged item of a snapshot is the same object as before, so that views compare by identity.
 *
 * @module
 */
import type {
  Conversation,
  GroupEvent,
  MessageId,
  Millis,
  Profile,
  Seq,
  Summary,
  UserCursor,
  UserId,
  UserPresence,
  WireError,
} from "../wire.js";

/** Something with a snapshot that changes. */
export interface Model<T> {
  readonly snapshot: T;
  /** Calls back after each change until the returned function is called. */
  subscribe(listener: (snapshot: T) => void): () => void;
}

/** An entry of the list of conversations. */
export interface ConversationEntry {
  readonly conversation: Conversation;
  readonly summary: Summary;
  /** Who is writing there at the moment, others only. */
  readonly typing: readonly UserId[];
  /** How many messages of one's own are not on disk yet, and how many were refused. */
  readonly waiting: number;
  readonly failed: number;
  /** The last text of one's own that is not on disk yet, or was refused. */
  readonly unsent?: { readonly text: string; readonly at: Millis };
  /** A text that was begun. */
  readonly draft: string;
}

/** The list of conversations, most recent first. */
export interface ConversationList extends Model<readonly ConversationEntry[]> {
  /** Whether it is known which there are, from the server or from an earlier run: else an empty list says nothing. */
  readonly loaded: boolean;
  /** Whether there are older ones that are not here yet. */
  readonly more: boolean;
  /** Brings the next page of older ones. */
  loadMore(): Promise<void>;
  get(conversation: Conversation): ConversationEntry | undefined;
  /** Messages not read in all that are not muted. */
  readonly unread: number;
}

/** How far a message of one's own has got. */
export type Status =
  /** In the outbox: a clock. */
  | "waiting"
  /** On disk: ✓. */
  | "stored"
  /** With each other member's device: ✓✓. */
  | "delivered"
  /** Seen by each other member. */
  | "read"
  /** Refused for good: may be tried again. */
  | "failed";

/** A text or an event as it stands now: edits and deletions are applied. */
export interface ThreadItem {
  /** The message id: stays the same from the outbox to the disk. */
  readonly key: MessageId;
  /** Absent while it is in the outbox. */
  readonly seq?: Seq;
  readonly sender: UserId;
  readonly own: boolean;
  readonly at: Millis;
  readonly kind: "text" | "event";
  /** Absent of events, and of what was deleted. */
  readonly text?: string;
  readonly event?: GroupEvent;
  readonly deleted: boolean;
  readonly edited: boolean;
  /** What it answers; without an item while that is being fetched. */
  readonly replyTo?: {
    readonly seq: Seq;
    readonly item?: Pick<ThreadItem, "sender" | "text" | "deleted" | "seq">;
  };
  /** Of one's own. */
  readonly status?: Status;
  /** Why it was refused. */
  readonly error?: WireError;
  /** An edit or deletion of it that is not on disk yet, or was refused. */
  readonly change?: { readonly id: MessageId; readonly kind: "edit" | "delete"; readonly error?: WireError };
}

/** What of a conversation is loaded: one piece without a hole. */
export interface ThreadView {
  readonly items: readonly ThreadItem[];
  /** Nothing comes before the first item, nothing after the last. */
  readonly atStart: boolean;
  readonly atEnd: boolean;
  readonly loading: "none" | "start" | "older" | "newer";
  /** Own read cursor when the thread was opened: the divider stands after it. */
  readonly dividerAfter?: Seq;
  /** Why the last load failed; loading again is allowed. */
  readonly error?: Error;
}

/** Where to open a thread. */
export type Place = { at: "end" } | { at: "unread" } | { at: "seq"; seq: Seq } | { at: "time"; time: Millis };

/** One conversation, for a view that shows a piece of it. Opening costs nothing until {@link Thread.jump}. */
export interface Thread extends Model<ThreadView> {
  readonly conversation: Conversation;
  /**
   * Loads the piece around a place, from the store at once where it is kept, and from the server otherwise.
   * Resolves with the key of the item that is meant, if there is one.
   */
  jump(place: Place): Promise<MessageId | undefined>;
  /** Loads up to 60 more at that end; beyond 360 items the other end is let go. */
  older(): Promise<void>;
  newer(): Promise<void>;
  /**
   * Whether the reader is at the end. Live messages that are too many let go of the start then, and otherwise of the
   * end: what is being read stays. Until it is said, the last load tells.
   */
  follow(end: boolean): void;
  /** Cursors of the others, for "seen by". */
  readonly cursors: readonly UserCursor[];
  /** Frees it. */
  close(): void;
}

/** People: who they are and whether they are there. */
export interface People extends Model<number> {
  /** Who it is, as far as known; asks for whoever is not known, and tells subscribers. */
  profile(user: UserId): Profile | undefined;
  /** The last that was heard of somebody who is watched. */
  presence(user: UserId): UserPresence | undefined;
  /** Watches these people too until the returned function is called. */
  watch(users: Iterable<UserId>): () => void;
}

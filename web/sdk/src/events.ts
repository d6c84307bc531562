/**
 * What an application hears, by `client.on(name, …)` and as an async iterator.
 *
 * @module
 */
import type {
  Conversation,
  Limits,
  Message,
  MessageId,
  Millis,
  Profile,
  Seq,
  Summary,
  UserCursor,
  UserId,
  UserPresence,
  WireError,
} from "./wire.js";

/** Why there is no connection. Stable names, for programs; texts for people are the application's. */
export type Reason =
  /** The network, or the device, is off. */
  | "offline"
  /** No server answered, or the connection broke. */
  | "unreachable"
  /** Nothing was heard for one and a half ping intervals: half-open. */
  | "silent"
  /** The edge drains (3001). */
  | "draining"
  /** The access token expired, or is being fetched (3005). */
  | "token"
  /** The client read too slowly (3008). */
  | "slow"
  /** A part of the server is away (3013). */
  | "unavailable"
  /** The server closed with another code that says to come back. */
  | "closed"
  /** Final: there is no valid token to be had; log in again. */
  | "signed_out"
  /** Final: the device was revoked (3503), now or before the client began. */
  | "revoked"
  /** Final: too many connections of this user (3504). */
  | "too_many_connections"
  /** Final: the protocol was broken (3501), or another code that says not to come back. */
  | "refused"
  /** Final: the application stopped the client. */
  | "stopped";

/** Where the connection is. */
export interface Connection {
  state: "idle" | "connecting" | "online" | "waiting" | "stopped";
  /** Why, unless online. */
  reason?: Reason;
  /** When the next attempt is made, while waiting. */
  retryAt?: Millis;
  /** Since when it has not been online; absent while it is. */
  since?: Millis;
}

/** A message, edit or deletion of one's own that is not on disk yet, or was refused. */
export interface OutboxEntry {
  id: MessageId;
  conversation: Conversation;
  /** Place in its conversation's line, ascending. */
  order: number;
  /** When it was written. */
  at: Millis;
  content:
    | { kind: "text"; text: string; replyTo?: Seq }
    | { kind: "edit"; target: Seq; text: string }
    | { kind: "delete"; target: Seq };
  /** Why it was refused for good; it waits for {@link Client.retry} or {@link Client.discard}. */
  failed?: WireError;
}

/** All events by name. */
export interface ClientEvents {
  /** The connection changed. */
  connection: Connection;
  /** `ready` was heard: who one is, the limits, the head of the list of conversations. */
  ready: { user: Profile; limits: Limits; conversations: Summary[]; next?: string };
  /**
   * Messages of one conversation, ascending, kept in the store before this is heard. `live` is false for what
   * a resume or a repair brought. Between the last one heard and the first of these nothing is missing, unless
   * `truncated` said so.
   */
  messages: { conversation: Conversation; messages: Message[]; live: boolean };
  /** Between the two there are messages that were not delivered; history has them. */
  truncated: { conversation: Conversation; cursor: Seq; head: Seq };
  /** An entry of the outbox is new, changed or gone (`seq`: it is on disk there). */
  outbox: { entry: OutboxEntry; done?: { seq: Seq } | "discarded" };
  /** Cursors of others moved, or one's own on another device. */
  receipts: { conversation: Conversation; cursors: UserCursor[] };
  /** Somebody writes, or has stopped: `active: false` comes also 6 s after the last word. */
  typing: { conversation: Conversation; user: UserId; active: boolean };
  /** States of people who are watched. */
  presence: { users: UserPresence[] };
  /** All that was missed was delivered; `complete: false`: page the list of conversations. */
  resumed: { complete: boolean };
  /** The server complained of something that belongs to no request. */
  problem: { error: WireError };
  /** The store failed (no room, or deleted); the client goes on in memory, and what is unsent may be lost. */
  storage: { error: Error };
  /** This tab began or ceased to hold the connection for all tabs. */
  leader: { leader: boolean };
}

/** One event with its name, as the async iterator yields it. */
export type ClientEvent = { [K in keyof ClientEvents]: { type: K } & ClientEvents[K] }[keyof ClientEvents];

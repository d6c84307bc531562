/**
 * The wire: what stands in frames and bodies, field for field as in docs/protocol.md.
 *
 * A test compiles each example of `nats/golden/` against these types, so that none has a field too
 * few or too many. Times are Unix milliseconds; sequences are whole numbers below 2^53.
 *
 * @module
 */

/** A ULID in lower case: 26 characters. */
export type UserId = string;
/** A ULID in lower case: 26 characters. */
export type DeviceId = string;
/** A ULID in lower case: 26 characters. */
export type GroupId = string;
/** `dm.<a>.<b>`, `group.<g>` or `user.<u>`. */
export type Conversation = string;
/** A UUID of version 7 in lower case, made by the client (RFC 9562). */
export type MessageId = string;
/** A message's place: ascending within a conversation, with holes. */
export type Seq = number;
/** Unix time in milliseconds. */
export type Millis = number;

/** The one table of errors: docs/protocol.md, "Errors". */
export const ERROR_CODES = [
  "bad_request",
  "unknown_type",
  "unauthorized",
  "token_expired",
  "revoked",
  "forbidden",
  "not_member",
  "not_found",
  "conflict",
  "handle_taken",
  "group_full",
  "last_owner",
  "too_large",
  "text_too_long",
  "rate_limited",
  "overloaded",
  "unavailable",
  "timeout",
  "internal",
] as const;
/** A code of {@link ERROR_CODES}. A newer server may know more. */
export type ErrorCode = (typeof ERROR_CODES)[number];

/** The body of every HTTP error, and the fields of an `error` frame. */
export interface WireError {
  /** For programs. */
  code: ErrorCode;
  /** For people: what to do. */
  message: string;
  /** Whether the same request may succeed later. */
  retryable: boolean;
  /** When, at the earliest. */
  retry_after_ms?: number;
}

/** Who somebody is. */
export interface Profile {
  id: UserId;
  /** Absent for users of an outside identity provider who have none. */
  handle?: string;
  name: string;
}

/** How much pushes say. */
export type PushPreview = "full" | "sender" | "none";
/** Who may see whether one is there. */
export type Privacy = "everyone" | "contacts" | "nobody";

/** One's own profile. */
export interface Me extends Profile {
  presence: Privacy;
  push_preview: PushPreview;
}

/** A role in a group. */
export type Role = "member" | "admin" | "owner";

/** How far a user has got; `read` implies `delivered`. */
export interface Cursor {
  delivered: Seq;
  read: Seq;
}
/** {@link Cursor} of a user. */
export interface UserCursor extends Cursor {
  user: UserId;
}

/** Something that happened to a group, or to one's place in it. */
export type GroupEvent =
  | { type: "created"; title: string }
  | { type: "renamed"; title: string }
  | { type: "member_added"; user: UserId; role: Role }
  | { type: "member_removed"; user: UserId }
  | { type: "role_changed"; user: UserId; role: Role }
  | { type: "joined"; group: GroupId }
  | { type: "left"; group: GroupId };

interface MessageBase {
  conversation: Conversation;
  seq: Seq;
  /** The message before it in the conversation; 0 for none, or in a live message for "not known". */
  prev: Seq;
  id: MessageId;
  sender: UserId;
  sent_at: Millis;
}
/** A text. */
export interface TextMessage extends MessageBase {
  kind: "text";
  /** Absent once it is deleted. */
  text?: string;
  reply_to?: Seq;
  /** The edit that `text` includes. */
  edited?: Seq;
  /** The deletion. */
  deleted?: Seq;
}
/** A new text for `target`. */
export interface EditMessage extends MessageBase {
  kind: "edit";
  /** Absent once its target is deleted. */
  text?: string;
  target: Seq;
  deleted?: Seq;
}
/** The end of the text of `target`. */
export interface DeleteMessage extends MessageBase {
  kind: "delete";
  target: Seq;
}
/** A group's event. */
export interface EventMessage extends MessageBase {
  kind: "event";
  event: GroupEvent;
}
/** Holds a place and shows nothing. */
export interface DuplicateMessage extends MessageBase {
  kind: "duplicate";
  target: Seq;
}
/** A message, in history as well as live. */
export type Message = TextMessage | EditMessage | DeleteMessage | EventMessage | DuplicateMessage;

/** The last text or event of an entry in the list of conversations. */
export interface Preview {
  seq: Seq;
  id: MessageId;
  sender: UserId;
  sent_at: Millis;
  kind: Message["kind"];
  /** The first 200 characters; absent of an event, and of a text that was deleted. */
  text?: string;
}

/** While it is set, the conversation is muted. */
export interface Mute {
  until?: Millis;
  /** Whether texts that name one are pushed all the same. */
  mentions: boolean;
}

/** An entry in the list of conversations. */
export interface Summary {
  conversation: Conversation;
  head: Seq;
  last_message?: Preview;
  unread: number;
  cursor: Cursor;
  mute?: Mute;
  /** Of a 1:1 chat. */
  peer?: Profile;
  peer_cursor?: Cursor;
  /** Of a group. */
  title?: string;
  role?: Role;
  member_count?: number;
}
/** A page of the list of conversations, most recent first. */
export interface ConversationPage {
  conversations: Summary[];
  /** Asks for more. */
  next?: string;
}

/** A page of history, ascending. */
export interface Page {
  conversation: Conversation;
  messages: Message[];
  head: Seq;
  more_before: boolean;
  more_after: boolean;
}

/** What a server allows; told in `ready`. */
export interface Limits {
  text_chars_max: number;
  frame_bytes_max: number;
  page_messages_max: number;
  resume_messages_max: number;
  name_chars_max: number;
  group_members_max: number;
  watch_users_max: number;
  sends_in_flight_max: number;
}

/** The state of a user, as another may see it. */
export interface UserPresence {
  user: UserId;
  state: "online" | "away" | "offline" | "hidden";
  last_seen?: Millis;
}

/** What a device says of itself. */
export interface HelloDevice {
  id?: DeviceId;
  name: string;
  platform: "web" | "android" | "ios" | "desktop" | "cli" | (string & {});
}

/** Frames of the client. */
export type ClientFrame =
  | {
      type: "hello";
      token: string;
      device?: HelloDevice;
      client?: string;
      resume?: Record<Conversation, Seq>;
      active: boolean;
    }
  | { type: "send"; id: MessageId; conversation: Conversation; text: string; reply_to?: Seq }
  | { type: "edit"; id: MessageId; conversation: Conversation; target: Seq; text: string }
  | { type: "delete"; id: MessageId; conversation: Conversation; target: Seq }
  | { type: "receipt"; conversation: Conversation; delivered?: Seq; read?: Seq }
  | { type: "typing"; conversation: Conversation; active: boolean }
  | ({ type: "history"; id: string; conversation: Conversation; limit?: number } & Anchor)
  | { type: "conversations"; id: string; page?: string; limit?: number }
  | { type: "token"; id: string; token: string }
  | { type: "active"; active: boolean }
  | { type: "watch"; id: string; users: UserId[] }
  | { type: "ping"; id: string };

/** Where a page of history lies; without any it is the newest. `at` is the first message at or after a time. */
export interface Anchor {
  before?: Seq;
  after?: Seq;
  around?: Seq;
  at?: Millis;
}

/** The answer to `hello`. */
export interface Ready extends ConversationPage {
  type: "ready";
  user: Profile;
  session: string;
  device: DeviceId;
  edge: string;
  server: string;
  limits: Limits;
  ping_interval_ms: number;
  token_expires_at: Millis;
  now: Millis;
}

/** Frames of the server. Unknown ones are ignored. */
export type ServerFrame =
  | Ready
  | { type: "ack"; id: MessageId; seq: Seq }
  | ({ type: "message" } & Message)
  | { type: "receipts"; conversation: Conversation; cursors: UserCursor[] }
  | { type: "typing"; conversation: Conversation; user: UserId; active: boolean }
  | { type: "nudge"; conversation: Conversation; head: Seq }
  | { type: "presence"; id?: string; users: UserPresence[] }
  | { type: "draining"; edges: string[]; within_ms: number }
  | { type: "truncated"; conversation: Conversation; cursor: Seq; head: Seq }
  | { type: "resumed"; complete: boolean }
  | ({ type: "history"; id: string } & Page)
  | ({ type: "conversations"; id: string } & ConversationPage)
  | { type: "ok"; id: string }
  | { type: "pong"; id: string }
  | ({ type: "error"; id?: string } & WireError);

/** What sign-up, login and refresh answer. */
export interface Tokens {
  user: Profile;
  device: DeviceId;
  access_token: string;
  expires_at: Millis;
  refresh_token: string;
}

/** One of one's own devices. */
export interface Device {
  id: DeviceId;
  name: string;
  platform: string;
  created_at: Millis;
  refreshed_at?: Millis;
  last_seen?: Millis;
  online: boolean;
  current: boolean;
  push?: "webpush" | "fcm";
}

/** A member of a conversation. */
export interface Member {
  user: Profile;
  role?: Role;
  joined_at?: Millis;
  cursor: Cursor;
}

/** An edge that takes connections. */
export interface EdgeInfo {
  id: string;
  url: string;
  region: string;
  load: number;
  version: string;
}

/** What is set up for pushes. */
export interface PushChannels {
  webpush_key?: string;
  fcm_project?: string;
}

/** The payload of a push. */
export type Notice =
  | {
      type: "message";
      conversation: Conversation;
      seq: Seq;
      id: MessageId;
      sent_at: Millis;
      title: string;
      body?: string;
      badge: number;
      mention?: boolean;
    }
  | { type: "withdraw"; conversation: Conversation; seq: Seq; badge: number };

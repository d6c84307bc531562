/**
 * Names of conversations, and cursors in them.
 *
 * @module
 */
import type { Conversation, GroupId, UserCursor, UserId } from "./wire.js";

/** The 1:1 chat of two users; with oneself, the notes to self. */
export function dmOf(a: UserId, b: UserId): Conversation {
  return a < b ? `dm.${a}.${b}` : `dm.${b}.${a}`;
}

/** The other one in a 1:1 chat of `me`, who may be oneself; `undefined` of anything else. */
export function peerOf(conversation: Conversation, me: UserId): UserId | undefined {
  const [kind, a, b] = conversation.split(".");
  if (kind !== "dm" || a === undefined || b === undefined) return undefined;
  return a === me ? b : a;
}

/** The group that a conversation is, if it is one. */
export function groupOf(conversation: Conversation): GroupId | undefined {
  return conversation.startsWith("group.") ? conversation.slice("group.".length) : undefined;
}

/** Two tellings of a user's cursor: cursors only rise, and what is read was delivered. */
export function risen(known: UserCursor | undefined, told: UserCursor): UserCursor {
  const read = Math.max(known?.read ?? 0, told.read);
  const delivered = Math.max(known?.delivered ?? 0, told.delivered, read);
  if (known?.read === read && known.delivered === delivered) return known;
  return { user: told.user, delivered, read };
}

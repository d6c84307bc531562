/**
 * How an entry of the list of conversations follows what happens, by the server's own rules.
 *
 * @module
 */
import { groupOf, peerOf } from "../conversation.js";
import type { Conversation, Cursor, Message, Preview, Summary, TextMessage, UserId } from "../wire.js";

/** Unread counts stop here, on the server as well: show "999+". */
export const UNREAD_MAX = 1_000;
/** So much of a text stands in a preview, in Unicode scalar values. */
const PREVIEW_CHARS = 200;

/** An entry after something happened, and whether its unread texts must be counted anew. */
export interface Followed {
  readonly summary: Summary;
  readonly recount: boolean;
}

/** The entry of a conversation of which nothing is known but its name. */
export function empty(conversation: Conversation): Summary {
  return { conversation, head: 0, unread: 0, cursor: { delivered: 0, read: 0 } };
}

/** The entry after the next message of its conversation, as `me` sees it. */
export function follow(summary: Summary, message: Message, me: UserId): Followed {
  if (message.seq <= summary.head) return { summary, recount: false };
  const next: Summary = { ...summary, head: message.seq };
  switch (message.kind) {
    case "text": {
      next.last_message = preview(message);
      const counts = message.sender !== me && message.deleted === undefined;
      if (counts && message.seq > summary.cursor.read) next.unread = Math.min(UNREAD_MAX, summary.unread + 1);
      return { summary: next, recount: false };
    }
    case "event":
      next.last_message = preview(message);
      applyEvent(next, message.event, me);
      return { summary: next, recount: false };
    case "edit": {
      const last = summary.last_message;
      const shown = last?.seq === message.target && last.kind === "text" && last.text !== undefined;
      if (shown && last.sender === message.sender && message.text !== undefined)
        next.last_message = { ...last, text: shortened(message.text) };
      return { summary: next, recount: false };
    }
    case "delete": {
      const last = summary.last_message;
      const may = groupOf(summary.conversation) !== undefined || last?.sender === message.sender;
      if (last?.seq === message.target && last.kind === "text" && may) {
        const { text: _, ...rest } = last;
        next.last_message = rest;
      }
      // Perhaps it counted.
      return { summary: next, recount: summary.unread > 0 && message.target > summary.cursor.read };
    }
    default:
      // A duplicate, or a kind of a newer server: it is there, and shows nothing.
      return { summary: next, recount: false };
  }
}

function applyEvent(summary: Summary, event: Extract<Message, { kind: "event" }>["event"], me: UserId): void {
  switch (event.type) {
    case "created":
    case "renamed":
      summary.title = event.title;
      break;
    case "member_added":
      if (summary.member_count !== undefined) summary.member_count += 1;
      if (event.user === me) summary.role = event.role;
      break;
    case "member_removed":
      if (summary.member_count !== undefined) summary.member_count -= 1;
      break;
    case "role_changed":
      if (event.user === me) summary.role = event.role;
      break;
    default:
  }
}

/** The entry after one's own cursor rose. */
export function readTo(summary: Summary, cursor: Cursor): Followed {
  const read = Math.max(summary.cursor.read, cursor.read);
  const delivered = Math.max(summary.cursor.delivered, cursor.delivered, read);
  const same = read === summary.cursor.read && delivered === summary.cursor.delivered;
  if (same) return { summary, recount: false };
  const next = { ...summary, cursor: { delivered, read } };
  if (read === summary.cursor.read || summary.unread === 0) return { summary: next, recount: false };
  if (read >= summary.head) return { summary: { ...next, unread: 0 }, recount: false };
  return { summary: next, recount: true };
}

/**
 * What is known here and what the server told, as one: of the messages the one that knows more, of everything else
 * the server's word.
 */
export function merge(known: Summary | undefined, told: Summary): Followed {
  if (known === undefined) return { summary: told, recount: false };
  const behind = told.head < known.head;
  const next: Summary = behind ? { ...told, head: known.head, unread: known.unread } : { ...told };
  if (behind && known.last_message !== undefined) next.last_message = known.last_message;
  if (told.peer_cursor !== undefined && known.peer_cursor !== undefined) {
    next.peer_cursor = {
      delivered: Math.max(told.peer_cursor.delivered, known.peer_cursor.delivered),
      read: Math.max(told.peer_cursor.read, known.peer_cursor.read),
    };
  }
  // What was read here may not have been told yet, and what was read elsewhere not heard yet.
  if (behind) next.cursor = known.cursor;
  return readTo(next, behind ? told.cursor : known.cursor);
}

/**
 * How many of the messages count as unread: texts of others beyond `read` that were not deleted.
 *
 * @param messages Ascending, everything between `read` and the head; else `undefined` is the answer.
 */
export function countUnread(messages: readonly Message[], summary: Summary, me: UserId): number | undefined {
  let last = summary.cursor.read;
  const counted = new Set<number>();
  for (const message of messages) {
    const follows = message.prev > 0 ? message.prev <= last : last === 0;
    if (!follows) return undefined;
    last = message.seq;
    if (message.kind === "text" && message.sender !== me && message.deleted === undefined)
      counted.add(message.seq);
  }
  return last >= summary.head ? Math.min(UNREAD_MAX, counted.size) : undefined;
}

/** When something was last said. */
export function activity(summary: Summary): number {
  return summary.last_message?.sent_at ?? 0;
}

/** Whether it is muted now. */
export function muted(summary: Summary, now: number): boolean {
  return summary.mute !== undefined && (summary.mute.until === undefined || summary.mute.until > now);
}

/** Whose presence an entry shows. */
export function peer(summary: Summary, me: UserId): UserId | undefined {
  return summary.peer?.id ?? peerOf(summary.conversation, me);
}

function preview(message: TextMessage | Extract<Message, { kind: "event" }>): Preview {
  const { seq, id, sender, sent_at, kind } = message;
  const text = message.kind === "text" ? message.text : undefined;
  return { seq, id, sender, sent_at, kind, ...(text !== undefined && { text: shortened(text) }) };
}

function shortened(text: string): string {
  if (text.length <= PREVIEW_CHARS) return text;
  return Array.from(text.slice(0, 2 * PREVIEW_CHARS))
    .slice(0, PREVIEW_CHARS)
    .join("");
}

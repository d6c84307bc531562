/**
 * The second line of an entry of the list, and the tick before it. Pure.
 *
 * @module
 */
import type { ConversationEntry, UserId } from "natterjack-sdk";

/** How one's own last message stands; nothing where the last one is not one's own. */
export type Tick = "waiting" | "failed" | "sent" | "delivered" | "read";

/** What the line says. */
export type Line =
  | { kind: "typing"; users: readonly UserId[] }
  | { kind: "draft"; text: string }
  | { kind: "text"; text: string; sender?: UserId }
  | { kind: "deleted" }
  | { kind: "changed" }
  | { kind: "empty" };

/** No list shows more of a text, and a long one must not reach the document. */
const SHOWN_UNITS = 160;

/** One line of at most {@link SHOWN_UNITS}, without a character that is cut in half. */
export function oneLine(text: string): string {
  const cut = text.slice(0, SHOWN_UNITS).replace(/[\ud800-\udbff]$/u, "");
  return cut.replace(/\s+/gu, " ").trim();
}

/** What stands under the title. What is happening comes first, then what one has begun, then the last message. */
export function lineOf(entry: ConversationEntry, open: boolean, me?: UserId): Line {
  if (entry.typing.length > 0) return { kind: "typing", users: entry.typing };
  // The open conversation's draft stands in its composer.
  if (entry.draft.trim() !== "" && !open) return { kind: "draft", text: oneLine(entry.draft) };
  // The clock beside it is of this text.
  const { unsent } = entry;
  if (unsent) return { kind: "text", text: oneLine(unsent.text), ...(me !== undefined && { sender: me }) };
  const last = entry.summary.last_message;
  if (!last) return { kind: "empty" };
  if (last.kind === "event") return { kind: "changed" };
  if (last.text === undefined) return { kind: "deleted" };
  return { kind: "text", text: oneLine(last.text), sender: last.sender };
}

/** The tick before the line. In a group the list knows of the disk only; the thread knows who has read. */
export function tickOf(entry: ConversationEntry, me: UserId): Tick | undefined {
  if (entry.failed > 0) return "failed";
  if (entry.waiting > 0) return "waiting";
  const { last_message: last, peer_cursor: cursor } = entry.summary;
  if (!last || last.sender !== me || last.kind === "event") return undefined;
  if (cursor && cursor.read >= last.seq) return "read";
  if (cursor && cursor.delivered >= last.seq) return "delivered";
  return "sent";
}

/** Whether a mute counts now. */
export function mutedNow(mute: { until?: number } | undefined, now: number): boolean {
  return mute !== undefined && (mute.until === undefined || mute.until > now);
}

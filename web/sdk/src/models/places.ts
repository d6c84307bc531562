/**
 * Where a thread is opened: whether that place is in the piece that is loaded, and which item is meant.
 *
 * @module
 */
import { checkWhole } from "../check.js";
import type { Message, MessageId, Seq, UserId } from "../wire.js";
import type { Place } from "./models.js";
import { isShown, type Piece, type Row } from "./piece.js";

/**
 * Passes a place.
 *
 * @throws {UsageError} There cannot be such a one.
 */
export function checkPlace(place: Place): void {
  if (place.at === "seq") checkWhole("seq", place.seq);
  if (place.at === "time") checkWhole("time", place.time);
}

/** Whether a place is in the piece, so that nothing needs to be loaded. */
export function holds(piece: Piece, place: Place, read: Seq, atEnd: boolean): boolean {
  const { rows, first = Infinity, end } = piece;
  const [oldest, newest] = [rows[0], rows.at(-1)];
  if (oldest === undefined || newest === undefined) return false;
  switch (place.at) {
    case "end":
      return atEnd;
    case "seq":
      return place.seq >= first && place.seq <= end;
    case "unread":
      return read >= first && (atEnd || read < newest.message.seq);
    case "time": {
      const begun = oldest.message.sent_at < place.time || piece.atStart;
      return begun && (newest.message.sent_at >= place.time || atEnd);
    }
  }
}

/** The key of the item that a place means; `undefined` of the end, which may be in the outbox. */
export function keyAt(piece: Piece, place: Place, read: Seq, me?: UserId): MessageId | undefined {
  const { rows } = piece;
  const key = (row: Row | undefined) => (row ?? rows.at(-1))?.message.id;
  switch (place.at) {
    case "end":
      return undefined;
    case "seq":
      return key(rows[piece.index(place.seq)]);
    case "unread": {
      const beyond = rows.slice(piece.index(read + 1));
      return key(beyond.find(({ message }) => message.kind === "text" && message.sender !== me) ?? beyond[0]);
    }
    case "time":
      return key(rows.find(({ message }) => message.sent_at >= place.time));
  }
}

/** Whether what is kept is enough to show a place, so that the server need not be asked. */
export function suffices(place: Place, kept: readonly Message[], head: Seq, read: Seq): boolean {
  const last = kept.at(-1)?.seq ?? 0;
  // By time, only the server knows whether there is something nearer that is not kept.
  if (place.at === "time" || !kept.some(isShown)) return false;
  return place.at === "seq" || last >= head || (place.at === "unread" && last > read);
}

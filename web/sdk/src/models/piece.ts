/**
 * The piece of a conversation that is loaded: all messages between two places, without a hole. Only what is shown
 * is held: texts and events, in their state now.
 *
 * @module
 */
import { type ChangeMessage, changed, isChange, stateOf } from "../store/settle.js";
import type { Message, MessageId, Seq } from "../wire.js";
import type { ThreadItem } from "./models.js";

/** Items that are held at most. */
export const WINDOW = 360;
/** Live messages let go of the start in steps, so that a view has less to do. */
const WINDOW_AFTER_TRIM = 300;

/** A message that is shown by itself. */
export type ShownMessage = Extract<Message, { kind: "text" | "event" }>;

/** Whether a message is shown by itself. */
export function isShown(message: Message): message is ShownMessage {
  return message.kind === "text" || message.kind === "event";
}

/** A shown message, and the item that was made of it. */
export interface Row {
  message: ShownMessage;
  /** Made when somebody looks; `undefined` after a change. */
  item: ThreadItem | undefined;
}

/** Messages ascending and without a hole. */
export class Piece {
  /** Ascending. */
  rows: Row[] = [];
  /** All messages after this one are here, up to {@link end}; 0 for the start, or where that is not known. */
  begin: Seq = 0;
  /** The first message that is here, shown or not. */
  first: Seq | undefined;
  end: Seq = 0;
  /** The server said that nothing comes before. */
  atStart = false;
  readonly #byId = new Map<MessageId, Row>();
  readonly #changed: (row: Row) => void;

  /** @param changed Hears of each row that an edit or deletion changed. */
  constructor(changed: (row: Row) => void) {
    this.#changed = changed;
  }

  /** Begins anew with these; `atStart` and the end are the caller's to set. */
  reset(messages: readonly Message[]): void {
    this.rows = [];
    this.#byId.clear();
    this.first = undefined;
    this.begin = this.end = 0;
    this.atStart = false;
    this.append(messages);
  }

  /** The row at `seq`. */
  row(seq: Seq): Row | undefined {
    const row = this.rows[this.index(seq)];
    return row?.message.seq === seq ? row : undefined;
  }

  /** The row of a message id. */
  byId(id: MessageId): Row | undefined {
    return this.#byId.get(id);
  }

  /** The index of the first row at or after `seq`. */
  index(seq: Seq): number {
    let [low, high] = [0, this.rows.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.rows[middle]!.message.seq < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Adds what follows the end without a hole; what is here already is left out. Answers the new rows. */
  append(messages: readonly Message[]): Row[] {
    const fresh = messages.filter((message) => message.seq > this.end);
    const [first, last] = [fresh[0], fresh.at(-1)];
    if (first === undefined || last === undefined) return [];
    if (this.first === undefined) [this.first, this.begin] = [first.seq, first.prev];
    this.end = last.seq;
    const rows = this.#rows(fresh);
    for (const row of rows) this.rows.push(row);
    this.#applyAll(fresh);
    return rows;
  }

  /** Adds what comes before the first message without a hole. Answers the new rows. */
  prepend(messages: readonly Message[]): Row[] {
    const fresh = messages.filter((message) => message.seq < (this.first ?? Infinity));
    const [first, last] = [fresh[0], fresh.at(-1)];
    if (first === undefined || last === undefined) return [];
    [this.first, this.begin] = [first.seq, first.prev];
    this.end = Math.max(this.end, last.seq);
    const rows = this.#rows(fresh);
    this.rows = [...rows, ...this.rows];
    this.#applyAll(fresh);
    return rows;
  }

  /** An edit or deletion, wherever it stands itself. */
  apply(change: ChangeMessage): void {
    const row = this.row(change.target);
    if (row === undefined) return;
    const after = changed(row.message, change) as ShownMessage;
    if (after === row.message) return;
    row.message = after;
    this.#changed(row);
  }

  /** Messages as they are now, for those of them that are here. */
  renew(messages: readonly Message[]): void {
    for (const message of messages) {
      const row = this.row(message.seq);
      if (row === undefined || !isShown(message)) continue;
      if (stateOf(row.message) >= stateOf(message)) continue;
      row.message = message;
      this.#changed(row);
    }
  }

  /** Items of one's own beyond `from`, up to `to`, are made anew. */
  renewOwn(from: Seq, to: Seq): void {
    for (let index = this.index(from + 1); index < this.rows.length; index += 1) {
      const row = this.rows[index]!;
      if (row.message.seq > to) return;
      if (row.item?.own) row.item = undefined;
    }
  }

  /** Lets go of what is too much: nobody reads the start while facing the end, and the other way round. */
  letGo(facing: "older" | "newer"): void {
    if (this.rows.length <= WINDOW) return;
    if (facing === "newer") this.trimStart(WINDOW_AFTER_TRIM);
    else this.trimEnd(WINDOW);
  }

  /** Lets go of rows at the start until `count` are left. */
  trimStart(count: number): void {
    const gone = this.rows.splice(0, Math.max(0, this.rows.length - count));
    const first = this.rows[0];
    if (gone.length === 0 || first === undefined) return;
    for (const row of gone) this.#byId.delete(row.message.id);
    [this.first, this.begin, this.atStart] = [first.message.seq, first.message.prev, false];
  }

  /** Lets go of rows at the end until `count` are left. */
  trimEnd(count: number): void {
    const gone = this.rows.splice(count);
    const last = this.rows.at(-1);
    if (gone.length === 0 || last === undefined) return;
    for (const row of gone) this.#byId.delete(row.message.id);
    this.end = last.message.seq;
  }

  #rows(messages: readonly Message[]): Row[] {
    const rows: Row[] = [];
    for (const message of messages) {
      if (!isShown(message)) continue;
      const row: Row = { message, item: undefined };
      this.#byId.set(message.id, row);
      rows.push(row);
    }
    return rows;
  }

  #applyAll(messages: readonly Message[]): void {
    for (const message of messages) if (isChange(message)) this.apply(message);
  }
}

/**
 * The longest run without a hole around one of several messages.
 *
 * @param messages Ascending; each one's `prev` says whether it follows the one before.
 * @param index Of the one that must be in it.
 */
export function runAround(messages: readonly Message[], index: number): Message[] {
  if (messages[index] === undefined) return [];
  let [from, to] = [index, index + 1];
  while (from > 0 && messages[from]!.prev === messages[from - 1]!.seq) from -= 1;
  while (to < messages.length && messages[to]!.prev === messages[to - 1]!.seq) to += 1;
  return messages.slice(from, to);
}

/**
 * Which of the loaded items stand in the document: a piece that follows the reader, so that the number of rows
 * stays bounded however much is loaded.
 *
 * @module
 */

/** Items from `from` up to but without `to`. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

/** Rows at most. */
export const ROWS_MAX = 240;
/** Rows while the reader is at the end, where each message that comes costs the more the more there are. */
export const ROWS_AT_END = 120;
/** Rows of a place that is jumped to: enough for a large screen, and few enough to be there at once. */
const ROWS_AT_FIRST = 60;
/** New rows that come at once at the end; more follow in the next moment. */
export const ROWS_BATCH = 8;
/** Rows that come at once when an end is near. */
export const ROWS_STEP = 20;
/** A screen has about so many rows. */
export const ROWS_AROUND = 16;

interface Keyed {
  readonly key: string;
}

/** The last rows. */
export function atEnd(count: number): Range {
  return { from: Math.max(0, count - ROWS_AT_FIRST), to: count };
}

/** Rows around an item. */
export function around(count: number, index: number): Range {
  const from = Math.max(0, Math.min(index - ROWS_AT_FIRST / 3, count - ROWS_AT_FIRST));
  return { from, to: Math.min(count, from + ROWS_AT_FIRST) };
}

/** More rows at one end; rows are let go at the other one. Without any left it is the same object. */
export function extend(range: Range, count: number, side: "start" | "end"): Range {
  if (side === "start") {
    if (range.from === 0) return range;
    const from = Math.max(0, range.from - ROWS_STEP);
    return { from, to: Math.min(range.to, from + ROWS_MAX) };
  }
  if (range.to === count) return range;
  const to = Math.min(count, range.to + ROWS_STEP);
  return { from: Math.max(range.from, to - ROWS_MAX), to };
}

/**
 * The same rows in a newer list of items. With `follow` (the reader is at the end) it goes on towards the new end, a
 * batch at a time, and rows are let go at the start in steps. Otherwise what came at the end joins only while there is room.
 * Undefined if none of the rows is left: the list is another piece of the conversation.
 */
export function carry(
  range: Range,
  before: readonly Keyed[],
  after: readonly Keyed[],
  follow: boolean,
): Range | undefined {
  if (before === after && !follow) return range;
  const kept = shift(range, before, after);
  if (!kept) return undefined;
  const wasLast = range.to === before.length;
  if (follow) {
    // Further behind than a screen: the rows of the end take the place of these.
    if (after.length - kept.to > ROWS_AT_FIRST) return atEnd(after.length);
    const to = Math.min(after.length, kept.to + ROWS_BATCH);
    return { from: to - kept.from > ROWS_AT_END + ROWS_STEP ? to - ROWS_AT_END : kept.from, to };
  }
  const to = wasLast ? Math.max(kept.to, Math.min(after.length, kept.from + ROWS_MAX)) : kept.to;
  return { from: kept.from, to };
}

/** Where the first and the last row that are still there stand now. */
function shift(range: Range, before: readonly Keyed[], after: readonly Keyed[]): Range | undefined {
  const places = new Map<string, number>();
  for (const [index, item] of after.entries()) places.set(item.key, index);
  let from: number | undefined;
  let to: number | undefined;
  for (let index = range.from; index < range.to && from === undefined; index++) {
    from = places.get(before[index]?.key ?? "");
  }
  for (let index = range.to - 1; index >= range.from && to === undefined; index--) {
    to = places.get(before[index]?.key ?? "");
  }
  if (from === undefined || to === undefined) return undefined;
  // An item of the outbox may move past others when it gets its place.
  return { from: Math.min(from, to), to: Math.max(from, to) + 1 };
}

/** Whether a row stands among others, so that it can be brought to the middle. */
export function holds(range: Range, target: number): boolean {
  const early = range.from > 0 && target < range.from + ROWS_AROUND;
  return target >= range.from && target < range.to && !early;
}

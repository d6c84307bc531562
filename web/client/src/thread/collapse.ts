/**
 * Long texts: cut before they reach the document, and shown in blocks when somebody asks for all.
 *
 * @module
 */

/** UTF-16 units of a text that are shown before "Show all". */
export const PREVIEW_UNITS = 1_200;
/** Lines that are shown before "Show all". */
export const PREVIEW_LINES = 12;
/** UTF-16 units of a block, about: a few milliseconds of layout on a slow machine. */
export const BLOCK_UNITS = 5_000;

/** How far back a better place to cut is looked for. */
const LOOK_BACK_UNITS = 200;
/** No sensible character is longer; what pretends to be is cut anyway. */
const GRAPHEME_UNITS_MAX = 64;

const graphemes = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** The beginning of a long text, or undefined if the text is short enough to be shown as it is. */
export function preview(text: string): string | undefined {
  let lines = 1;
  let end = Math.min(text.length, PREVIEW_UNITS);
  for (let at = text.indexOf("\n"); at !== -1 && at < end; at = text.indexOf("\n", at + 1)) {
    lines++;
    if (lines > PREVIEW_LINES) end = at;
  }
  // A little more than the preview is not worth a button.
  if (text.length - end <= LOOK_BACK_UNITS && lines <= PREVIEW_LINES) return undefined;
  return cut(text, end);
}

/** The first so many UTF-16 units of a text or a few less: no character is cut, nor a word where that can be. */
export function cut(text: string, units: number): string {
  return text.slice(0, boundary(text, units));
}

/** The blocks of a text: each ends at the end of a line, a word or at least a character. Joined they are the text. */
export function blocks(text: string): string[] {
  const found: string[] = [];
  let from = 0;
  while (text.length - from > BLOCK_UNITS + LOOK_BACK_UNITS) {
    const to = lineEnd(text, from) ?? boundary(text, from + BLOCK_UNITS);
    found.push(text.slice(from, to));
    from = to;
  }
  found.push(text.slice(from));
  return found;
}

/** After the last line break in the latter half of a block. */
function lineEnd(text: string, from: number): number | undefined {
  const at = text.lastIndexOf("\n", from + BLOCK_UNITS - 1);
  return at > from + BLOCK_UNITS / 2 ? at + 1 : undefined;
}

/** A good place to cut, at or a little before `at`: after a space, or between two characters as people count them. */
function boundary(text: string, at: number): number {
  if (at >= text.length) return text.length;
  for (let place = at; place > at - LOOK_BACK_UNITS && place > 1; place--) {
    const unit = text.charCodeAt(place - 1);
    if (unit === 0x20 || unit === 0x0a) return breaks(text, place) ? place : grapheme(text, place);
  }
  return grapheme(text, at);
}

/** Whether what follows a space starts a character of its own (a combining mark would belong to the space). */
function breaks(text: string, at: number): boolean {
  return !/^(?:\p{M}|\u200d)/u.test(text.slice(at, at + 2));
}

/** The start of the character that a place lies in. */
function grapheme(text: string, at: number): number {
  const from = Math.max(0, at - GRAPHEME_UNITS_MAX * 2);
  const near = text.slice(from, at + GRAPHEME_UNITS_MAX);
  const found = graphemes.segment(near).containing(at - from);
  if (found && found.index > 0 && at - from - found.index < GRAPHEME_UNITS_MAX) return from + found.index;
  const unit = text.charCodeAt(at);
  return unit >= 0xdc00 && unit < 0xe000 ? at - 1 : at;
}

/**
 * Whether a text is nothing but a few emoji, which are shown larger.
 *
 * @module
 */

/** Emoji that are shown larger, at most. */
const EMOJI_MAX = 3;
/** No such text is longer: families and flags of regions have up to 14 units. */
const UNITS_MAX = EMOJI_MAX * 16;

const ONLY =
  /^(?:(?:\p{RI}{2}|[#*\d]\ufe0f?\u20e3|\p{Extended_Pictographic}\p{EMod}?\ufe0f?(?:\u200d\p{Extended_Pictographic}\p{EMod}?\ufe0f?)*[\u{e0020}-\u{e007f}]*)\s?)+$/u;
const graphemes = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** One to three emoji and nothing else. */
export function emojiOnly(text: string): boolean {
  if (text.length > UNITS_MAX || text.charCodeAt(0) < 0x80 || !ONLY.test(text)) return false;
  let count = 0;
  for (const { segment } of graphemes.segment(text)) if (segment.trim() !== "") count++;
  return count <= EMOJI_MAX;
}

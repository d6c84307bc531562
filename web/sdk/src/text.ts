/**
 * What a text must be before it is kept.
 *
 * @module
 */
import { UsageError } from "./errors.js";
import type { Limits } from "./wire.js";

/** Until a server has told its own limit. */
const TEXT_CHARS_MAX = 100_000;

/**
 * The text as it can be sent: halves of surrogate pairs are replaced.
 *
 * @throws {UsageError} It is empty, too long, or holds U+0000.
 */
export function checkedText(text: string, limits: Limits | undefined): string {
  if (text === "") throw new UsageError("the text is empty");
  if (text.includes("\0")) throw new UsageError("the text holds U+0000, which no server takes");
  const max = limits?.text_chars_max ?? TEXT_CHARS_MAX;
  if (text.length > max && scalarCount(text) > max) {
    throw new UsageError(`the text is longer than ${max} characters`);
  }
  return wellFormed(text);
}

/** How many Unicode scalar values a text has: what the server counts. */
export function scalarCount(text: string): number {
  let pairs = 0;
  for (let index = 0; index < text.length - 1; index += 1) {
    const high = (text.charCodeAt(index) & 0xfc00) === 0xd800;
    if (!high || (text.charCodeAt(index + 1) & 0xfc00) !== 0xdc00) continue;
    pairs += 1;
    index += 1;
  }
  return text.length - pairs;
}

function wellFormed(text: string): string {
  return text.replace(/[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/g, "\uFFFD");
}

/**
 * What the keys do in the composer, and how long a text is.
 *
 * @module
 */

import { composing } from "../lib/keys.js";

/** What of a keyboard event is looked at. */
export interface Key {
  readonly key: string;
  readonly keyCode: number;
  readonly isComposing: boolean;
  readonly shiftKey: boolean;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
  readonly altKey: boolean;
}

/**
 * Whether this key sends. Enter does, with Shift it begins a line; on a touch screen Enter begins a line too, since
 * keyboards there have no Shift+Enter. Ctrl+Enter and Cmd+Enter send everywhere.
 */
export function sends(event: Key, touch: boolean): boolean {
  if (event.key !== "Enter" || composing(event) || event.altKey) return false;
  if (event.ctrlKey || event.metaKey) return true;
  return !event.shiftKey && !touch;
}

/** Unicode scalar values of a text, as the server counts them. */
export function scalars(text: string): number {
  let count = text.length;
  for (let at = 0; at < text.length - 1; at++) {
    const unit = text.charCodeAt(at);
    if (unit >= 0xd800 && unit < 0xdc00) {
      const low = text.charCodeAt(at + 1);
      if (low >= 0xdc00 && low < 0xe000) {
        count--;
        at++;
      }
    }
  }
  return count;
}

/** Characters that are left, once that is worth showing: below a tenth of the limit. Negative when over it. */
export function left(text: string, limit: number): number | undefined {
  // Cheap for nearly all texts: there are at least as many units as scalar values.
  if (text.length < limit * 0.9) return undefined;
  const remaining = limit - scalars(text);
  return remaining <= limit * 0.1 ? remaining : undefined;
}

const STRONG = /\p{L}/u;
const RTL =
  /[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}\p{Script=Adlam}]/u;

/** The direction of a text by its first letter, as `dir="auto"` has it; that is slow for long texts in a field. */
export function direction(text: string): "ltr" | "rtl" {
  const letter = STRONG.exec(text)?.[0];
  return letter !== undefined && RTL.test(letter) ? "rtl" : "ltr";
}

/**
 * Keys that belong to an input method and not to the page.
 *
 * @module
 */

/** Says that an input method takes the key; Safari's last key of a composition has only this. */
const KEY_CODE_COMPOSING = 229;

/** Whether an input method takes the key: it chooses among its suggestions, and nothing else happens. */
export function composing(event: Pick<KeyboardEvent, "isComposing" | "keyCode">): boolean {
  return event.isComposing || event.keyCode === KEY_CODE_COMPOSING;
}

/**
 * Keyboard shortcuts of the whole page, in one place. `mod` is ⌘ on Apple's keyboards and Ctrl elsewhere.
 *
 * @module
 */

import { composing } from "./keys.js";

/** A shortcut: `mod+k`, `alt+arrowdown`, `?`. Letters are those of `KeyboardEvent.key`, in lower case. */
export interface Shortcut {
  keys: string;
  run(event: KeyboardEvent): void;
  /** Also while a text is being written; only for those with a modifier. */
  whileTyping?: boolean;
}

const registered = new Set<Shortcut>();

/** Whether this machine has ⌘. */
export const apple = /Mac|iPhone|iPad/.test(globalThis.navigator?.platform ?? "");

/** What an event is called here. */
export function nameOf(
  event: Pick<KeyboardEvent, "key" | "ctrlKey" | "metaKey" | "altKey" | "shiftKey">,
  isApple = apple,
): string {
  const key = event.key.toLowerCase();
  const parts: string[] = [];
  if (isApple ? event.metaKey : event.ctrlKey) parts.push("mod");
  if (isApple ? event.ctrlKey : event.metaKey) parts.push("meta");
  if (event.altKey) parts.push("alt");
  // A sign such as "?" needs Shift on most layouts: the sign itself says enough.
  if (event.shiftKey && (key.length > 1 || /[a-z]/.test(key))) parts.push("shift");
  return [...parts, key].join("+");
}

function typing(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement && target.closest("input, textarea, select, [contenteditable]") !== null
  );
}

/** Adds shortcuts until the returned function is called. Later ones win. */
export function shortcuts(...added: Shortcut[]): () => void {
  for (const one of added) registered.add(one);
  return () => {
    for (const one of added) registered.delete(one);
  };
}

/** Listens for all of them until the returned function is called. */
export function listenForShortcuts(): () => void {
  const hear = (event: KeyboardEvent): void => {
    if (event.defaultPrevented || composing(event)) return;
    const name = nameOf(event);
    const found = [...registered].reverse().find((one) => one.keys === name);
    if (!found || (typing(event.target) && !found.whileTyping)) return;
    event.preventDefault();
    found.run(event);
  };
  document.addEventListener("keydown", hear);
  return () => document.removeEventListener("keydown", hear);
}

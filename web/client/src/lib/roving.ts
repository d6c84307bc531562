/**
 * One tab stop for a list: arrows, Home and End move within it, Tab leaves it.
 *
 * @module
 */
import type { Attachment } from "svelte/attachments";

/** Marks the items of a list that {@link roving} is attached to. */
const ITEM = "[data-roving]";

/** Among visible items in the order of the document. */
function items(list: Element): HTMLElement[] {
  return [...list.querySelectorAll<HTMLElement>(ITEM)].filter((item) => !item.closest("[hidden]"));
}

/** Makes exactly one of them the tab stop: the current one, the last focused, or the first. */
function settle(list: Element): void {
  const all = items(list);
  const focused = all.find((item) => item === document.activeElement);
  const current = all.find((item) => item.hasAttribute("aria-current"));
  const stop = focused ?? all.find((item) => item.tabIndex === 0 && !current) ?? current ?? all[0];
  for (const item of all) {
    const wanted = item === stop ? 0 : -1;
    if (item.tabIndex !== wanted) item.tabIndex = wanted;
  }
}

/** Gives the focus to the first item of a list, if there is one. */
export function focusFirst(list: Element | null | undefined): void {
  if (list) items(list)[0]?.focus();
}

/**
 * Attach it to the list: `<ul {@attach roving()}>` with `data-roving` on what takes the focus.
 *
 * @param before Called for ↑ on the first item: to go back to a search field.
 */
export function roving(before?: () => void): Attachment<HTMLElement> {
  return (list) => {
    const move = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const all = items(list);
      const at = all.findIndex((item) => item === document.activeElement);
      if (at < 0) return;
      const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      if (to < 0) before?.();
      else all[Math.min(to, all.length - 1)]?.focus();
    };
    const focus = (): void => settle(list);
    list.addEventListener("keydown", move);
    list.addEventListener("focusin", focus);
    const changes = new MutationObserver(() => settle(list));
    changes.observe(list, {
      childList: true,
      subtree: true,
      attributes: true,
      attributeFilter: ["aria-current"],
    });
    settle(list);
    return () => {
      list.removeEventListener("keydown", move);
      list.removeEventListener("focusin", focus);
      changes.disconnect();
    };
  };
}

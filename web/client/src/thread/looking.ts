/**
 * The reader's attention: whether there is any, and how it is drawn to a row.
 *
 * @module
 */

/** Whether somebody can be looking at an element: the page is in front, and no other pane covers the element. */
export function attentive(element: Element): boolean {
  return document.visibilityState === "visible" && document.hasFocus() && element.closest("[inert]") === null;
}

/** Calls whenever {@link attentive} may have become true. Answers how to end. */
export function onAttention(look: () => void): () => void {
  addEventListener("focus", look);
  document.addEventListener("visibilitychange", look);
  const uncovered = new MutationObserver(look);
  uncovered.observe(document.body, { subtree: true, attributeFilter: ["inert"] });
  return () => {
    removeEventListener("focus", look);
    document.removeEventListener("visibilitychange", look);
    uncovered.disconnect();
  };
}

/** Lights a row up for a moment. */
export function flash(row: Element): void {
  row.classList.remove("flash");
  // Starts anew where it is under way.
  row.getBoundingClientRect();
  row.classList.add("flash");
  row.addEventListener("animationend", () => row.classList.remove("flash"), { once: true });
}

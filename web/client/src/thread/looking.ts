/**
 * The reader's attention: whether there is any, and how it is drawn to a row.
 *
 * @module
 */

/** Whether somebody can be looking at this page. */
export function attentive(): boolean {
  return document.visibilityState === "visible" && document.hasFocus();
}

/** Lights a row up for a moment. */
export function flash(row: Element): void {
  row.classList.remove("flash");
  // Starts anew where it is under way.
  row.getBoundingClientRect();
  row.classList.add("flash");
  row.addEventListener("animationend", () => row.classList.remove("flash"), { once: true });
}

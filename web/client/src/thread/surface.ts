/**
 * The list's element as the {@link Anchor} sees it, and questions about which rows are in view.
 *
 * @module
 */
import type { Mark, Surface } from "./anchor.js";

/** Marks that are taken: should the first go, the next one serves. */
const MARKS_MAX = 6;
/** Of a tall message so much must be in view for it to count as seen. */
const SEEN_PX = 48;

/** A scrolled element with rows in it. What keeps its place is marked `data-mark`: texts, not what stands around them. */
export class ListSurface implements Surface<Element> {
  readonly #scroller: HTMLElement;
  readonly #rows: HTMLElement;

  constructor(scroller: HTMLElement, rows: HTMLElement) {
    this.#scroller = scroller;
    this.#rows = rows;
  }

  get scrollTop(): number {
    return this.#scroller.scrollTop;
  }
  set scrollTop(value: number) {
    this.#scroller.scrollTop = value;
  }
  get scrollHeight(): number {
    return this.#scroller.scrollHeight;
  }
  get clientHeight(): number {
    return this.#scroller.clientHeight;
  }

  inView(): Mark<Element>[] {
    const edge = this.#edge();
    const height = this.clientHeight;
    const marks: Mark<Element>[] = [];
    let crossing: Mark<Element> | undefined;
    for (let index = this.#firstBelow(edge); index < this.#rows.children.length; index++) {
      for (const element of this.#rows.children[index]?.querySelectorAll("[data-mark]") ?? []) {
        const { top, bottom } = element.getBoundingClientRect();
        if (top - edge >= height || marks.length === MARKS_MAX) return this.#or(marks, crossing);
        if (top >= edge) marks.push({ element, top: top - edge });
        else if (bottom > edge) crossing = { element, top: top - edge };
      }
    }
    return this.#or(marks, crossing);
  }

  top(element: Element): number | undefined {
    return element.isConnected ? element.getBoundingClientRect().top - this.#edge() : undefined;
  }

  /** The index of the first row that is in view, if only in part. */
  first(): number {
    return this.#firstBelow(this.#edge());
  }

  /** The index of the last row of which enough is in view to be seen; -1 without any. */
  lastSeen(): number {
    const edge = this.#edge();
    const bottom = edge + this.clientHeight;
    // The first row that ends below the lower edge; whether it is seen depends on how much of it shows.
    const index = this.#firstBelow(bottom + 1);
    const row = this.#rows.children[index];
    const shows = row && row.getBoundingClientRect().top + SEEN_PX <= bottom;
    return shows ? index : Math.min(index, this.#rows.children.length) - 1;
  }

  /** A bare list of marks is better than none: an element that is cut off by the upper edge. */
  #or(marks: Mark<Element>[], crossing: Mark<Element> | undefined): Mark<Element>[] {
    return marks.length === 0 && crossing ? [crossing] : marks;
  }

  #edge(): number {
    return this.#scroller.getBoundingClientRect().top + this.#scroller.clientTop;
  }

  /** The index of the first row that ends below a line; the number of rows if none does. */
  #firstBelow(line: number): number {
    const { children } = this.#rows;
    let low = 0;
    let high = children.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((children[middle]?.getBoundingClientRect().bottom ?? 0) > line) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

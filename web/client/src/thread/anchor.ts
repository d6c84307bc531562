/**
 * Keeps what is read where it is on the screen, whatever happens to the rows around it.
 *
 * The browser's own scroll anchoring is off: it does not know which rows come and go together. Here the elements
 * in view are marked with their distance from the top edge whenever the reader scrolls. After each change of the
 * document the list is moved so that the first mark that is still there stands where it stood. The marks are taken
 * only from the reader's scrolling and never from our own corrections, so that rounding to whole pixels cannot add
 * up.
 *
 * @module
 */

/** An element and how far below the upper edge of the list it begins, in CSS pixels. */
export interface Mark<T> {
  readonly element: T;
  readonly top: number;
}

/** What is scrolled; in the page, the list's element. */
export interface Surface<T> {
  scrollTop: number;
  readonly scrollHeight: number;
  readonly clientHeight: number;
  /** The elements in view from the top down, a handful of them. */
  inView(): Mark<T>[];
  /** Where an element begins now; undefined once it is gone. */
  top(element: T): number | undefined;
}

/** So far from the end counts as at the end: a fraction of a line. */
const END_SLACK_PX = 16;

/** The place that is kept: the end, or what is in view. */
export class Anchor<T> {
  readonly #surface: Surface<T>;
  #marks: Mark<T>[] = [];
  #stuck = true;
  /** The position that the marks belong to. */
  #known = 0;

  constructor(surface: Surface<T>) {
    this.#surface = surface;
  }

  /** Whether the end of the list is kept in view. */
  get stuck(): boolean {
    return this.#stuck;
  }

  /** The first thing in view and its place, unless the end is kept. */
  get mark(): Mark<T> | undefined {
    return this.#marks[0];
  }

  /** Keeps the end in view from now on; `restore` goes there. */
  stick(): void {
    this.#stuck = true;
    this.#marks = [];
  }

  /** Keeps what is in view now, also at the end. */
  hold(): void {
    this.#take(false);
  }

  /**
   * Call on each scroll event and before each change: learns where the reader went. Positions that we set ourselves
   * are told apart by their value. At the end it sticks there if `end` says that nothing comes after.
   */
  observe(end: boolean): void {
    if (Math.abs(this.#surface.scrollTop - this.#known) >= 1) this.#take(end);
  }

  /** Call after each change, before the next paint. Answers how far the list was moved. */
  restore(): number {
    const surface = this.#surface;
    const before = surface.scrollTop;
    if (this.#stuck) {
      surface.scrollTop = surface.scrollHeight;
    } else {
      for (const mark of this.#marks) {
        const top = surface.top(mark.element);
        if (top === undefined) continue;
        // Within half a pixel the browser could only round it back.
        if (Math.abs(top - mark.top) >= 0.5) surface.scrollTop = before + top - mark.top;
        break;
      }
    }
    this.#known = surface.scrollTop;
    return this.#known - before;
  }

  /**
   * Moves the list so that an element begins so far below the upper edge, or as near to that as can be, and keeps it
   * there; at the end, if `end` says that nothing comes after, the end is kept.
   */
  bring(element: T, top: number, end: boolean): void {
    const now = this.#surface.top(element);
    if (now === undefined) return;
    this.#surface.scrollTop += now - top;
    this.#take(end);
  }

  #take(end: boolean): void {
    const surface = this.#surface;
    this.#known = surface.scrollTop;
    const below = surface.scrollHeight - surface.clientHeight - surface.scrollTop;
    this.#stuck = end && below <= END_SLACK_PX;
    this.#marks = this.#stuck ? [] : surface.inView();
  }
}

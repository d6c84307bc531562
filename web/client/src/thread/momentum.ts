/**
 * A list that still rolls after the finger has left it: WebKit on touch screens stops it dead when its position is
 * set, or sets its own over ours. There, changes wait for a moment of rest, unless the reader would see the end of
 * what is loaded.
 *
 * @module
 */

/** Without a scroll event for so long it rests. */
const REST_MS = 120;

const ROLLS =
  typeof navigator !== "undefined" && navigator.vendor.startsWith("Apple") && navigator.maxTouchPoints > 0;

/** Knows whether the list rolls. */
export class Momentum {
  readonly #rest: () => void;
  readonly #rolls: boolean;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #waiting = false;

  /** `rest` is called when the list has come to rest and something waits. */
  constructor(rest: () => void, rolls: boolean = ROLLS) {
    this.#rest = rest;
    this.#rolls = rolls;
  }

  /** Call on each scroll event. */
  moved(): void {
    if (!this.#rolls) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (!this.#waiting) return;
      this.#waiting = false;
      this.#rest();
    }, REST_MS);
  }

  /** Whether a change had better wait; `rest` is called then. */
  holds(list: { readonly scrollTop: number; readonly clientHeight: number } | undefined): boolean {
    if (this.#timer === undefined || !list || list.scrollTop < list.clientHeight / 2) return false;
    this.#waiting = true;
    return true;
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

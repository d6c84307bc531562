/**
 * How far the reader has seen, told a moment after it came into view.
 *
 * @module
 */
import type { Seq } from "natterjack-sdk";

/** Whoever scrolls past has not read. */
const SEEN_AFTER_MS = 150;

/** What was seen of one conversation. */
export class Seen {
  readonly #watched: () => boolean;
  readonly #last: () => Seq;
  readonly #tell: (seq: Seq) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #upTo: Seq = 0;

  /** Whether somebody looks, the last message in view (0: none), and where a new one is told. */
  constructor(watched: () => boolean, last: () => Seq, tell: (seq: Seq) => void) {
    this.#watched = watched;
    this.#last = last;
    this.#tell = tell;
  }

  /** The last message that was told. */
  get upTo(): Seq {
    return this.#upTo;
  }

  /** What is in view may have changed, or whether somebody looks: told soon, if somebody still does then. */
  look(): void {
    if (this.#timer !== undefined || !this.#watched()) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      const last = this.#watched() ? this.#last() : 0;
      if (last <= this.#upTo) return;
      this.#upTo = last;
      this.#tell(last);
    }, SEEN_AFTER_MS);
  }

  /** Nothing more is told. */
  end(): void {
    clearTimeout(this.#timer);
  }
}

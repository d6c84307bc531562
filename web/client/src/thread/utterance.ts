/**
 * What a live region says: also the same words twice in a row are said twice, and nothing stays longer than it should.
 *
 * @module
 */

/** For so long the region is empty before it says something: readers take notice of a change only. */
const PAUSE_MS = 60;

/** The text of one live region. */
export class Utterance {
  readonly #show: (text: string) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(show: (text: string) => void) {
    this.#show = show;
  }

  /** Says a text in place of what stands there, for so many milliseconds or until the next. */
  say(text: string, forMs = Infinity): void {
    this.end();
    this.#show("");
    this.#timer = setTimeout(() => {
      this.#show(text);
      if (forMs !== Infinity) this.#timer = setTimeout(() => this.#show(""), forMs);
    }, PAUSE_MS);
  }

  /** Nothing is changed any more. */
  end(): void {
    clearTimeout(this.#timer);
  }
}

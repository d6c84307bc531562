/**
 * What all models have in common: a snapshot that is built when somebody looks, and listeners that are called at
 * most once every 16 ms.
 *
 * @module
 */
import type { Model } from "./models.js";

/** Runs something a moment later. */
export type Schedule = (run: () => void) => void;

/** About a frame. Not `requestAnimationFrame`, which stands still in hidden tabs. */
const FRAME_MS = 16;

/** Collects what changed, and tells of it in one go. */
export class Ticker {
  readonly #schedule: Schedule;
  #changed = new Set<Observable<unknown>>();

  constructor(schedule: Schedule = (run) => void setTimeout(run, FRAME_MS)) {
    this.#schedule = schedule;
  }

  add(model: Observable<unknown>): void {
    if (this.#changed.size === 0) this.#schedule(() => this.#flush());
    this.#changed.add(model);
  }

  #flush(): void {
    const changed = this.#changed;
    this.#changed = new Set();
    for (const model of changed) model.tell();
  }
}

/** A model whose snapshot is built from its state. */
export abstract class Observable<T> implements Model<T> {
  readonly #ticker: Ticker;
  readonly #listeners = new Set<(snapshot: T) => void>();
  #snapshot: T | undefined;
  #stale = true;

  constructor(ticker: Ticker) {
    this.#ticker = ticker;
  }

  get snapshot(): T {
    if (this.#stale) {
      this.#snapshot = this.build();
      this.#stale = false;
    }
    return this.#snapshot as T;
  }

  subscribe(listener: (snapshot: T) => void): () => void {
    // A wrapper, so that one function may subscribe twice.
    const own = (snapshot: T) => listener(snapshot);
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }

  /** Calls the listeners: for the {@link Ticker}. */
  tell(): void {
    for (const listener of this.#listeners) listener(this.snapshot);
  }

  /** A snapshot of the state now. */
  protected abstract build(): T;

  /** The state changed. */
  protected changed(): void {
    this.#stale = true;
    this.#ticker.add(this as Observable<unknown>);
  }
}

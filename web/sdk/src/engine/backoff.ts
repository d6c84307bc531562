/**
 * How long to wait before the next attempt: exponential backoff with full jitter.
 *
 * After a crowd lost its server at one moment, equal delays would bring it back at one moment. Full jitter
 * spreads it evenly, with the least work in total (AWS architecture blog, "Exponential Backoff And Jitter").
 *
 * @module
 */

/** The first and the longest upper bound of a delay. */
export interface Backoff {
  /** The upper bound of the first delay, in milliseconds. */
  readonly baseMs: number;
  /** No delay is longer, in milliseconds. */
  readonly maxMs: number;
}

/**
 * A delay in milliseconds: between nothing and `base · 2^failures`, at most `max`.
 *
 * @param random - Between 0 and 1, as of `Math.random`.
 */
export function delayMs(backoff: Backoff, failures: number, random: () => number): number {
  const bound = Math.min(backoff.baseMs * 2 ** Math.min(failures, 30), backoff.maxMs);
  return Math.round(bound * random());
}

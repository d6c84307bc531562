/**
 * Waiting for a condition instead of for a time.
 *
 * @module
 */

/** Nothing here takes this long unless it hangs; generous, since the machine may be busy. */
export const PATIENCE_MS = 30_000;

/** Asks again and again until the answer is neither `undefined` nor `false`. */
export async function until<T>(
  what: string,
  ask: () => T | undefined | false | Promise<T | undefined | false>,
  patienceMs = PATIENCE_MS,
): Promise<T> {
  const deadline = performance.now() + patienceMs;
  let last: unknown;
  for (;;) {
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false) return answer;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline) throw new Error(`waited in vain for: ${what}`, { cause: last });
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

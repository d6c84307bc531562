/**
 * Moments when the page has nothing better to do.
 *
 * @module
 */

/** How long one is waited for. */
const WAIT_MS = 2_000;

/** Resolves in the next idle moment, or after two seconds. */
export function whenIdle(): Promise<void> {
  return new Promise((resolve) => {
    // Safari has no idle callback.
    if ("requestIdleCallback" in globalThis) requestIdleCallback(() => resolve(), { timeout: WAIT_MS });
    else setTimeout(resolve, WAIT_MS / 10);
  });
}

/**
 * What goes on behind the page, loaded when the page is there and idle.
 */
import { lazy } from "../lib/lazy.js";

/** How long an idle moment is waited for. */
const WAIT_MS = 2000;

const idle = () =>
  new Promise<void>((resolve) => {
    // Safari has no idle callback.
    if ("requestIdleCallback" in globalThis) requestIdleCallback(() => resolve(), { timeout: WAIT_MS });
    else setTimeout(resolve, WAIT_MS / 4);
  });

/** Loads it; the next call tries again if that failed. */
export const background = lazy(async () => {
  await idle();
  return import("./Background.svelte");
});

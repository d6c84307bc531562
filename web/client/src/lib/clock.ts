/**
 * The present, for what is shown relative to it.
 *
 * @module
 */
import { createSubscriber } from "svelte/reactivity";

function ticking(every_ms: number): () => number {
  const track = createSubscriber((update) => {
    const timer = setInterval(update, every_ms);
    // Timers rest while the page is hidden.
    document.addEventListener("visibilitychange", update);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", update);
    };
  });
  return () => {
    track();
    return Date.now();
  };
}

/** The time, read again each half minute. */
export const minuteNow = ticking(30_000);
/** The time, read again each second: for countdowns. */
export const secondNow = ticking(1_000);

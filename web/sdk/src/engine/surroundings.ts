/**
 * What a browser tells of the device: its network, and that the page was away (asleep, frozen, in the cache of
 * pages to go back to). In Node there is nothing to hear.
 *
 * @module
 */

/** What is heard. */
export interface Surroundings {
  network(online: boolean): void;
  /** The page is back: a connection that stood may be gone. */
  back(): void;
}

/** Listens until the returned function is called. */
export function listen(to: Surroundings): () => void {
  if (typeof window === "undefined" || typeof document === "undefined") return () => {};
  const ending = new AbortController();
  const { signal } = ending;
  window.addEventListener("online", () => to.network(true), { signal });
  window.addEventListener("offline", () => to.network(false), { signal });
  window.addEventListener("pageshow", (event) => event.persisted && to.back(), { signal });
  document.addEventListener("resume", () => to.back(), { signal });
  const shown = (): void => {
    if (document.visibilityState === "visible") to.back();
  };
  document.addEventListener("visibilitychange", shown, { signal });
  if (navigator.onLine === false) to.network(false);
  return () => ending.abort();
}

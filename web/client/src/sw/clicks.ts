/**
 * Clicks on notifications, which the service worker hands to a window that is open. Part of the start: the browser
 * keeps the worker's messages until the page's first script has run, and not a moment longer.
 */
import type { ToPage } from "./messages.js";

/** The browser's `navigator.serviceWorker`, as far as it is used. */
type Container = Pick<ServiceWorkerContainer, "addEventListener">;

/** Calls `open` with the conversation of each notification that is clicked; a browser without workers has none. */
export function hearClicks(container: Container | undefined, open: (conversation: string) => void): void {
  container?.addEventListener("message", ({ data }: MessageEvent<ToPage>) => {
    if (data.type === "open") open(data.conversation);
  });
}

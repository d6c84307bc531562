/**
 * What the page and its service worker say to each other.
 */

/** From the page to the worker. */
export type ToWorker =
  /** The person asked for the new version: take over now. */
  { type: "take-over" };

/** From the worker to the page. */
export type ToPage =
  /** A notification was clicked: go there. */
  | { type: "open"; conversation: string }
  /** Which conversation is on the screen? Answered through the port with {@link OnScreen}. */
  | { type: "what-is-shown" };

/** The conversation that a window shows. */
export interface OnScreen {
  conversation?: string;
}

const CACHE = "settings";
const LANGUAGE = "/language";

/** Leaves the page's language for the worker, which has no other way to know it while no page is open. */
export async function leaveLanguage(language: string): Promise<void> {
  await (await caches.open(CACHE)).put(LANGUAGE, new Response(language));
}

/** The language that the page left, else the browser's. */
export async function leftLanguage(): Promise<string> {
  try {
    return (await (await (await caches.open(CACHE)).match(LANGUAGE))?.text()) ?? navigator.language;
  } catch {
    return navigator.language;
  }
}

/**
 * The page's side of the service worker: registers it, tells when a newer version is ready, and answers
 * what it asks. Without one (plain http elsewhere than on this machine, a private window) the page works all the same.
 */
import type { OnScreen, ToPage, ToWorker } from "./messages.js";

/** What the page does for its worker. */
export interface Page {
  /** The conversation that is on the screen. */
  onScreen(): string | undefined;
  /** A newer version is ready; `reload` changes to it. May be called more than once. */
  updateReady(reload: () => void): void;
}

/** How often a page that stays open looks for a newer version; each return to it after that long looks too. */
const CHECK_EVERY_MS = 60 * 60 * 1000;

/** Registers `/sw.js`, where the browser allows it. Resolves when the registration is there. */
export async function registerServiceWorker(page: Page): Promise<ServiceWorkerRegistration | undefined> {
  // A chunk of a version that the server no longer has, and no worker kept.
  window.addEventListener("vite:preloadError", () => page.updateReady(() => location.reload()));
  if (!import.meta.env.PROD || !("serviceWorker" in navigator)) return undefined;
  const container = navigator.serviceWorker;
  container.addEventListener("message", (event) => hear(event, page));
  try {
    const registration = await container.register(workerUrl(), { updateViaCache: "none" });
    watch(registration, container, page);
    return registration;
  } catch (error) {
    // Blocked by the person's settings, or the server is away: the next start tries again.
    console.info("no service worker:", error);
    return undefined;
  }
}

/** Trusted Types, where the browser has them. */
interface TrustedTypes {
  createPolicy(name: string, rules: { createScriptURL(): string }): { createScriptURL(url: string): string };
}

/**
 * The worker's address. The edge's content security policy takes addresses of scripts from this policy alone, and it
 * knows one.
 */
function workerUrl(): string {
  const url = "/sw.js";
  const { trustedTypes } = globalThis as { trustedTypes?: TrustedTypes };
  return (
    trustedTypes?.createPolicy("natterjack-worker", { createScriptURL: () => url }).createScriptURL(url) ??
    url
  );
}

function hear(event: MessageEvent<ToPage>, page: Page): void {
  const message = event.data;
  if (message.type === "what-is-shown") {
    const conversation = page.onScreen();
    event.ports[0]?.postMessage((conversation === undefined ? {} : { conversation }) satisfies OnScreen);
  }
}

function watch(registration: ServiceWorkerRegistration, container: ServiceWorkerContainer, page: Page): void {
  const isUpdate = container.controller !== null;
  let asked = false;
  const reload = () => {
    asked = true;
    const waiting = registration.waiting;
    if (waiting) waiting.postMessage({ type: "take-over" } satisfies ToWorker);
    else location.reload();
  };
  const ready = () => page.updateReady(reload);

  if (registration.waiting && isUpdate) ready();
  registration.addEventListener("updatefound", () => {
    const installing = registration.installing;
    installing?.addEventListener("statechange", () => {
      if (installing.state === "installed" && container.controller) ready();
    });
  });
  let first = !isUpdate;
  container.addEventListener("controllerchange", () => {
    // The first worker of all takes the page as it is.
    if (first) first = false;
    else if (asked) location.reload();
    // Another tab changed to the new version. This one may have a text half written: it is asked.
    else page.updateReady(() => location.reload());
  });

  let checked = Date.now();
  const check = () => {
    if (document.visibilityState !== "visible" || Date.now() - checked < CHECK_EVERY_MS) return;
    checked = Date.now();
    // Without a network there is none to be found.
    registration.update().catch(() => undefined);
  };
  setInterval(check, CHECK_EVERY_MS);
  document.addEventListener("visibilitychange", check);
}

/// <reference lib="webworker" />
/**
 * The service worker, `/sw.js`: opens the page without a network and shows what push services bring. Nothing under
 * `/v1` passes through it. The build puts the list of files into it.
 */
import { accounts, createApi } from "natterjack-sdk";

import { decide, parse, type Card, type Decision, type Shown, type Situation } from "./notice.js";
import { leftLanguage, type OnScreen, type ToPage, type ToWorker } from "./messages.js";
import { subscribe } from "./push.js";
import { answer, install, removeOld, route, type Precache } from "./shell.js";
import { inTurn } from "./turns.js";
import { textsOf } from "./worker-texts.js";

declare const __PRECACHE__: Precache;
const list = __PRECACHE__;
const worker = self as unknown as ServiceWorkerGlobalScope;

/** How long a window may take to say what it shows; one that is frozen says nothing. */
const WINDOW_ANSWER_MS = 500;

worker.addEventListener("install", (event) => event.waitUntil(install(list, caches, fetch)));

worker.addEventListener("activate", (event) =>
  event.waitUntil(
    // The first worker of a page serves it at once, so that its lazy parts are there without a network too.
    removeOld(list, caches).then(() => worker.clients.claim()),
  ),
);

worker.addEventListener("fetch", (event) => {
  const path = route(event.request, worker.location.origin, list);
  if (path) event.respondWith(answer(path, event.request, list, caches, fetch));
});

worker.addEventListener("message", (event) => {
  if ((event.data as ToWorker | undefined)?.type === "take-over") event.waitUntil(worker.skipWaiting());
});

worker.addEventListener("push", (event) => event.waitUntil(inTurn(() => show(event.data?.text()))));

worker.addEventListener("notificationclick", (event) => {
  event.notification.close();
  const data = event.notification.data as Shown | null;
  event.waitUntil(open(data?.conversation));
});

worker.addEventListener("pushsubscriptionchange", (event) => (event as ExtendableEvent).waitUntil(renew()));

/** The browser gave the subscription up, perhaps while no page is open: the server is told of a new one. */
async function renew(): Promise<void> {
  const own = accounts({ server: worker.location.origin });
  const account = await own.current();
  if (!account) return;
  const api = createApi({ server: account.server, tokens: own.tokens(account) });
  const { webpush_key: key } = await api.pushChannels();
  if (key === undefined) return;
  await api.registerWebPush((await subscribe(worker.registration.pushManager, key)).toJSON());
}

async function show(payload: string | undefined): Promise<void> {
  const [shown, focused, language] = await Promise.all([shownNow(), focusedNow(), leftLanguage()]);
  const situation: Situation = { shown, focused, strict: isStrict(navigator.userAgent) };
  await carryOut(decide(parse(payload), situation, textsOf(language)));
}

async function carryOut({ close: tag, show: card, again, badge }: Decision): Promise<void> {
  if (tag !== undefined) await close(tag);
  if (again !== undefined) await showAgain(again);
  if (card) {
    await worker.registration.showNotification(card.title, options(card));
    if (card.brief) await close(card.tag);
  }
  // Whether the platform has a place for it is the platform's matter.
  if (badge !== undefined) await setBadge(badge).catch(() => undefined);
}

function options(card: Card): NotificationOptions & { renotify: boolean; timestamp?: number } {
  return {
    body: card.body,
    tag: card.tag,
    data: card.data ?? null,
    icon: "/icons/icon-192.png",
    badge: "/icons/badge-96.png",
    dir: "auto",
    renotify: card.renotify,
    silent: card.silent,
    ...(card.timestamp !== undefined && { timestamp: card.timestamp }),
  };
}

async function showAgain(tag: string): Promise<void> {
  for (const one of await worker.registration.getNotifications({ tag })) {
    const { title, body, timestamp } = one as Notification & { timestamp?: number };
    const data = one.data as Shown;
    const quiet = { renotify: false, silent: true, brief: false };
    const card: Card = { title, body, tag, data, ...quiet, ...(timestamp !== undefined && { timestamp }) };
    await worker.registration.showNotification(title, options(card));
  }
}

async function close(tag: string): Promise<void> {
  for (const notification of await worker.registration.getNotifications({ tag })) notification.close();
}

async function setBadge(count: number): Promise<void> {
  if (count > 0) await navigator.setAppBadge?.(count);
  else await navigator.clearAppBadge?.();
}

async function shownNow(): Promise<Shown[]> {
  const shown = await worker.registration.getNotifications();
  return shown.flatMap((notification) => (notification.data as Shown | null) ?? []);
}

async function focusedNow(): Promise<(string | undefined)[]> {
  const focused = (await windows()).filter((one) => one.focused);
  return Promise.all(focused.map(ask));
}

/** What a window shows. Its address would not tell: some browsers give the one that it was opened with. */
function ask(client: WindowClient): Promise<string | undefined> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = (event: MessageEvent<OnScreen>) => resolve(event.data.conversation);
    setTimeout(() => resolve(undefined), WINDOW_ANSWER_MS);
    client.postMessage({ type: "what-is-shown" } satisfies ToPage, [port2]);
  });
}

const windows = () => worker.clients.matchAll({ type: "window", includeUncontrolled: true });

/** Brings a window there: one that is open, the visible ones first, or a new one. */
async function open(conversation: string | undefined): Promise<void> {
  const found = [...(await windows())].sort((a, b) => rank(b) - rank(a))[0];
  if (!found) {
    await worker.clients.openWindow(conversation === undefined ? "/" : `/c/${conversation}`);
    return;
  }
  if (conversation !== undefined) found.postMessage({ type: "open", conversation } satisfies ToPage);
  await found.focus();
}

const rank = (client: WindowClient) => (client.focused ? 2 : client.visibilityState === "visible" ? 1 : 0);

/** WebKit counts each push that shows nothing, whatever window is open. */
const isStrict = (agent: string) => /AppleWebKit/.test(agent) && !/Chrom(?:e|ium)\//.test(agent);

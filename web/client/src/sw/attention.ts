/**
 * What of the application is seen outside of its window: the badge of its icon, and notifications, which go when
 * what they tell was read here or on another device.
 */
import type { Client } from "natterjack-sdk";

import { OTHER_TAG, type Shown } from "./notice.js";
import { inTurn } from "./turns.js";

/** What of the browser is used. */
export interface Outside {
  notifications(): Promise<readonly Pick<Notification, "close" | "data" | "tag">[]>;
  /** 0 takes the badge away. */
  badge(count: number): Promise<void>;
  /** Whether the page is on the screen. */
  visible(): boolean;
}

type Source = Pick<Client, "on"> & {
  conversations: Pick<Client["conversations"], "get" | "unread" | "subscribe">;
};

/** How long changes are gathered before notifications are looked through. */
const GATHER_MS = 300;

/** Keeps badge and notifications true until the returned function is called; then there are none. */
export function keepTrue(client: Source, me: string, outside: Outside): () => void {
  let badge: number | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const look = async (): Promise<void> => {
    for (const notification of await outside.notifications()) {
      const data = notification.data as Shown | null;
      const read = data && client.conversations.get(data.conversation)?.summary.cursor.read;
      const isOver = data ? (read ?? -1) >= data.seq : notification.tag === OTHER_TAG && outside.visible();
      if (isOver) notification.close();
    }
  };
  const lookSoon = () => {
    timer ??= setTimeout(() => {
      timer = undefined;
      // The browser refuses while it shuts down: then there is nothing to keep true.
      look().catch(() => undefined);
    }, GATHER_MS);
  };
  const count = () => {
    const { unread } = client.conversations;
    if (unread === badge) return;
    badge = unread;
    outside.badge(unread).catch(() => undefined);
    lookSoon();
  };

  const stops = [
    client.conversations.subscribe(count),
    client.on("ready", lookSoon),
    client.on("receipts", ({ cursors }) => {
      if (cursors.some((cursor) => cursor.user === me)) lookSoon();
    }),
    () => clearTimeout(timer),
  ];
  count();
  lookSoon();
  return () => {
    stops.forEach((stop) => stop());
    // Signed out: what is shown is of a user who is not here any more.
    leave(outside).catch(() => undefined);
  };
}

/** Takes everything away. */
export async function leave(outside: Outside): Promise<void> {
  await outside.badge(0);
  for (const notification of await outside.notifications()) notification.close();
}

/** The browser as it is. */
export function outside(registration: ServiceWorkerRegistration | undefined): Outside {
  return {
    notifications: () => inTurn(async () => (await registration?.getNotifications()) ?? []),
    badge: async (count) => {
      if (count > 0) await navigator.setAppBadge?.(count);
      else await navigator.clearAppBadge?.();
    },
    visible: () => document.visibilityState === "visible",
  };
}

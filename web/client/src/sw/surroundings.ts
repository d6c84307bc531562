/**
 * The browser as it is, for {@link Push}.
 */
import { read, write } from "../lib/storage.js";
import type { Surroundings } from "./push.js";

/** What this browser can do. */
export function surroundings(): Surroundings {
  return {
    secure: isSecureContext,
    capable: "serviceWorker" in navigator && "PushManager" in window && "Notification" in window,
    needsInstall: isApplePhone() && !isInstalled(),
    permission: () => ("Notification" in window ? Notification.permission : "denied"),
    askPermission: () => Notification.requestPermission(),
    registration: () => navigator.serviceWorker.getRegistration(),
    wanted: { get: () => read("push"), set: (user) => write("push", user) },
  };
}

/** An iPhone, or an iPad, which calls itself a Mac but is touched. */
const isApplePhone = () =>
  /iPhone|iPad|iPod/.test(navigator.userAgent) ||
  (/Macintosh/.test(navigator.userAgent) && navigator.maxTouchPoints > 1);

const isInstalled = () => matchMedia("(display-mode: standalone), (display-mode: fullscreen)").matches;

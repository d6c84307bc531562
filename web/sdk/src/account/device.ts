/**
 * How this device is called in the list of one's devices.
 *
 * @module
 */
import type { HelloDevice } from "../wire.js";

const BROWSERS: readonly [RegExp, string][] = [
  [/\bEdg(e|A|iOS)?\//, "Edge"],
  [/\bOPR\//, "Opera"],
  [/\b(Firefox|FxiOS)\//, "Firefox"],
  [/\bSamsungBrowser\//, "Samsung Internet"],
  [/\b(?:Headless)?(?:Chrome|CriOS|Chromium)\//, "Chrome"],
  [/\bSafari\//, "Safari"],
];

const SYSTEMS: readonly [RegExp, string][] = [
  [/\bAndroid\b/, "Android"],
  [/\biPhone\b/, "iPhone"],
  [/\biPad\b/, "iPad"],
  [/\bMac OS X\b/, "macOS"],
  [/\bWindows\b/, "Windows"],
  [/\bCrOS\b/, "ChromeOS"],
  [/\bLinux\b/, "Linux"],
];

/** Name and platform: "Firefox on Linux", `web`. */
export function deviceName(): Omit<HelloDevice, "id"> {
  const agent = typeof navigator === "undefined" ? "Node.js" : navigator.userAgent;
  if (agent.startsWith("Node.js")) return { name: "Node.js", platform: "cli" };
  const named = (list: readonly [RegExp, string][]): string | undefined =>
    list.find(([test]) => test.test(agent))?.[1];
  const [browser, system] = [named(BROWSERS) ?? "Browser", named(SYSTEMS)];
  return { name: system === undefined ? browser : `${browser} on ${system}`, platform: "web" };
}

/** How a device is called. */
import { afterEach, expect, test, vi } from "vitest";
import { deviceName } from "../../src/account/device.js";

afterEach(() => void vi.unstubAllGlobals());

test.each([
  ["Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"],
  [
    "Mozilla/5.0 (Windows NT 10.0; Win64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0",
    "Edge on Windows",
  ],
  [
    "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36",
    "Chrome on Android",
  ],
  [
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 Version/18.0 Safari/604",
    "Safari on iPhone",
  ],
  [
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/140.0.0.0 Safari/537.36",
    "Chrome on Linux",
  ],
  ["something else", "Browser"],
])("%s", (userAgent, name) => {
  vi.stubGlobal("navigator", { userAgent });
  expect(deviceName()).toEqual({ name, platform: "web" });
});

test("Node, with or without a navigator", () => {
  const node = { name: "Node.js", platform: "cli" };
  vi.stubGlobal("navigator", { userAgent: "Node.js/22" });
  expect(deviceName()).toEqual(node);
  vi.stubGlobal("navigator", undefined);
  expect(deviceName()).toEqual(node);
});

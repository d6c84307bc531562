import { describe, expect, it, vi } from "vitest";

import { Push, PushServiceError, sameKey, type Surroundings } from "../src/sw/push.js";
import channels from "../../../nats/golden/http.push_channels.json" with { type: "json" };

const KEY = channels.webpush_key;
const bytes = (key: string) =>
  Uint8Array.from(atob(key.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0))
    .buffer;

/** A browser with at most one subscription. */
function browser(start: { permission?: NotificationPermission; key?: string; wanted?: string } = {}) {
  const make = (key: string) => ({
    options: { applicationServerKey: bytes(key) },
    toJSON: () => ({ endpoint: `https://push.example.com/${key.slice(0, 8)}` }),
    unsubscribe: async () => {
      state.subscription = undefined;
      return true;
    },
  });
  const state = {
    permission: start.permission ?? "granted",
    subscription: start.key === undefined ? undefined : make(start.key),
    wanted: start.wanted ?? null,
    refuses: false,
  };
  const manager = {
    getSubscription: async () => state.subscription ?? null,
    subscribe: async ({ applicationServerKey }: { applicationServerKey: string }) => {
      if (state.refuses) throw new DOMException("no push service", "AbortError");
      return (state.subscription = make(applicationServerKey));
    },
  };
  const around: Surroundings = {
    secure: true,
    capable: true,
    needsInstall: false,
    permission: () => state.permission,
    askPermission: async () =>
      (state.permission = state.permission === "default" ? "granted" : state.permission),
    registration: async () => ({ pushManager: manager }) as unknown as ServiceWorkerRegistration,
    wanted: { get: () => state.wanted, set: (user) => void (state.wanted = user) },
  };
  return { state, around };
}

function server(webpush_key: string | undefined = KEY) {
  return {
    pushChannels: vi.fn(async () => (webpush_key === undefined ? {} : { webpush_key })),
    registerWebPush: vi.fn(async () => ({}) as never),
    unregisterPush: vi.fn(async () => undefined),
  };
}

describe("the state", () => {
  const state = (change: Partial<Surroundings>, start: Parameters<typeof browser>[0] = {}, api = server()) =>
    new Push(api, "ann", { ...browser(start).around, ...change }).state();

  it("says why there are no pushes", async () => {
    expect(await state({ secure: false, capable: false })).toBe("insecure");
    expect(await state({ needsInstall: true, capable: false })).toBe("needs-install");
    expect(await state({ capable: false })).toBe("unsupported");
    expect(await state({ registration: async () => undefined })).toBe("unsupported");
    expect(await state({}, { permission: "denied", key: KEY, wanted: "ann" })).toBe("denied");
    expect(await state({}, {}, { ...server(), pushChannels: vi.fn(async () => ({})) })).toBe("not-set-up");
  });
  it("is on only for who turned it on", async () => {
    expect(await state({}, { key: KEY, wanted: "ann" })).toBe("on");
    expect(await state({}, { key: KEY, wanted: "bob" })).toBe("off");
    expect(await state({}, { key: KEY })).toBe("off");
    expect(await state({}, { wanted: "ann" })).toBe("off");
  });
  it("is not spoilt by a server that is away", async () => {
    const away = { ...server(), pushChannels: vi.fn(() => Promise.reject(new Error("away"))) };
    expect(await state({}, {}, away)).toBe("off");
  });
});

describe("turning on", () => {
  it("asks, subscribes and registers", async () => {
    const { state, around } = browser({ permission: "default" });
    const api = server();
    const push = new Push(api, "ann", around);
    expect(await push.isWorthProposing()).toBe(true);
    expect(await push.enable()).toBe("on");
    expect(api.registerWebPush).toHaveBeenCalledWith(state.subscription!.toJSON());
    expect(await push.state()).toBe("on");
    expect(await push.isWorthProposing()).toBe(false);
  });
  it("that is refused changes nothing", async () => {
    const { state, around } = browser({ permission: "denied" });
    const api = server();
    expect(await new Push(api, "ann", around).enable()).toBe("denied");
    expect(api.registerWebPush).not.toHaveBeenCalled();
    expect(state.wanted).toBeNull();
  });
  it("tells of a browser whose push service does not answer", async () => {
    const { state, around } = browser();
    state.refuses = true;
    const push = new Push(server(), "ann", around);
    await expect(push.enable()).rejects.toThrow(PushServiceError);
    expect(await push.state()).toBe("off");
  });
});

describe("at a start", () => {
  it("the same subscription is registered again", async () => {
    const { state, around } = browser({ key: KEY, wanted: "ann" });
    const before = state.subscription;
    const api = server();
    await new Push(api, "ann", around).refresh();
    expect(state.subscription).toBe(before);
    expect(api.registerWebPush).toHaveBeenCalledOnce();
  });
  it("a new key of the server means a new subscription", async () => {
    const other = KEY.replace(/^BP/, "BQ");
    const { state, around } = browser({ key: other, wanted: "ann" });
    await new Push(server(), "ann", around).refresh();
    expect(sameKey(state.subscription!.options.applicationServerKey, KEY)).toBe(true);
  });
  it("nothing happens for who did not want it, or without permission", async () => {
    for (const start of [
      { key: KEY },
      { key: KEY, wanted: "bob" },
      { wanted: "ann", permission: "denied" },
    ] as const) {
      const api = server();
      await new Push(api, "ann", browser(start).around).refresh();
      expect(api.registerWebPush).not.toHaveBeenCalled();
    }
  });
});

describe("turning off", () => {
  it("unsubscribes and tells the server", async () => {
    const { state, around } = browser({ key: KEY, wanted: "ann" });
    const api = server();
    const push = new Push(api, "ann", around);
    await push.disable();
    expect(state.subscription).toBeUndefined();
    expect(api.unregisterPush).toHaveBeenCalledOnce();
    expect(await push.state()).toBe("off");
  });
  it("works in the browser while the server is away", async () => {
    const { state, around } = browser({ key: KEY, wanted: "ann" });
    const api = { ...server(), unregisterPush: vi.fn(() => Promise.reject(new Error("away"))) };
    await new Push(api, "ann", around).disable();
    expect(api.unregisterPush).toHaveBeenCalledOnce();
    expect(state.subscription).toBeUndefined();
  });
});

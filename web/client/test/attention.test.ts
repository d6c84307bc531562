import { beforeEach, describe, expect, it, vi } from "vitest";

import { keepTrue } from "../src/sw/attention.js";
import { OTHER_TAG } from "../src/sw/notice.js";

vi.useFakeTimers();

/** A client with two conversations, of which the tests move the read cursors. */
function world() {
  const read: Record<string, number> = { a: 10, b: 5 };
  const listeners = new Map<string, (event: never) => void>();
  const client = {
    conversations: {
      unread: 2,
      get: (conversation: string) =>
        conversation in read ? { summary: { cursor: { read: read[conversation] } } } : undefined,
      subscribe: (listener: () => void) => {
        listeners.set("list", listener);
        return () => listeners.delete("list");
      },
    },
    on: (name: string, listener: (event: never) => void) => {
      listeners.set(name, listener);
      return () => listeners.delete(name);
    },
  };
  const open = new Set<string>();
  const badges: number[] = [];
  const show = (tag: string, seq?: number) => {
    open.add(tag);
    return {
      tag,
      data: seq === undefined ? null : { conversation: tag, seq },
      close: () => void open.delete(tag),
    };
  };
  const shown = [show("a", 11), show("b", 6), show("gone", 1), show(OTHER_TAG)];
  const outside = {
    notifications: async () => shown.filter((one) => open.has(one.tag)),
    badge: async (count: number) => void badges.push(count),
    visible: () => true,
  };
  const tell = (name: string, event?: unknown) => listeners.get(name)?.(event as never);
  return { client, read, open, badges, outside, tell, listeners };
}

let made: ReturnType<typeof world>;
let stop: () => void;
beforeEach(async () => {
  made = world();
  stop = keepTrue(made.client as never, "me", made.outside);
  await vi.advanceTimersByTimeAsync(1000);
});

describe("what is seen outside", () => {
  it("at the start: the badge, and nothing general while the page is seen", () => {
    expect(made.badges).toEqual([2]);
    expect([...made.open]).toEqual(["a", "b", "gone"]);
  });

  it("a notification goes when its message was read, here or elsewhere", async () => {
    made.read.a = 11;
    made.tell("receipts", { cursors: [{ user: "me", delivered: 11, read: 11 }] });
    await vi.advanceTimersByTimeAsync(1000);
    expect([...made.open]).toEqual(["b", "gone"]);
    made.read.b = 9;
    made.client.conversations.unread = 0;
    made.tell("list");
    await vi.advanceTimersByTimeAsync(1000);
    expect([...made.open]).toEqual(["gone"]);
    expect(made.badges).toEqual([2, 0]);
  });

  it("others' cursors do not matter", async () => {
    made.read.a = 11;
    made.tell("receipts", { cursors: [{ user: "ann", delivered: 11, read: 11 }] });
    made.tell("list");
    await vi.advanceTimersByTimeAsync(1000);
    expect(made.open.has("a")).toBe(true);
  });

  it("is nothing after the end", async () => {
    stop();
    await vi.advanceTimersByTimeAsync(1000);
    expect(made.listeners.size).toBe(0);
    expect(made.open.size).toBe(0);
    expect(made.badges).toEqual([2, 0]);
  });
});

/** Threads: one's own messages on their way, and what the marks beside them say. */
import { beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";

import type { Message } from "../../src/wire.js";
import { DM, event, GROUP, ME, OTHER, text, texts } from "../store/messages.js";
import { entry, item, open } from "./threads.js";
import { until, World } from "./world.js";

let world: World;

beforeEach(() => {
  world = new World();
});

describe("one's own", () => {
  const sent = (seq: number, id: string, prev = seq - 1): Message =>
    text(seq, { id, sender: ME, prev, text: id });

  test("messages stand at the end in order, and keep their key when they are stored", async () => {
    world.storeUnheard(...texts(1, 3));
    const thread = open(world);
    await thread.jump({ at: "end" });
    world.hub.emit("outbox", { entry: entry("b", 2) });
    world.hub.emit("outbox", { entry: entry("a", 1) });
    const shown = () => thread.snapshot.items.slice(3).map(({ key, status }) => [key, status]);
    expect(shown()).toEqual([
      ["a", "waiting"],
      ["b", "waiting"],
    ]);
    world.hub.emit("outbox", { entry: entry("a", 1), done: { seq: 4 } });
    expect(shown()).toEqual([
      ["a", "stored"],
      ["b", "waiting"],
    ]);
    await world.say(sent(4, "a"));
    expect(shown()).toEqual([
      ["a", "stored"],
      ["b", "waiting"],
    ]);
    // The echo may come before the ack.
    await world.say(sent(5, "b"));
    expect(shown()).toEqual([
      ["a", "stored"],
      ["b", "stored"],
    ]);
    world.hub.emit("outbox", { entry: entry("b", 2), done: { seq: 5 } });
    expect(shown()).toHaveLength(2);
  });

  test("messages that were refused say why, and go when they are discarded", async () => {
    const thread = open(world);
    await thread.jump({ at: "end" });
    const failed = { code: "not_member", message: "you are not in it", retryable: false } as const;
    world.hub.emit("outbox", { entry: { ...entry("a", 1), failed } });
    expect(thread.snapshot.items).toMatchObject([{ key: "a", status: "failed", error: failed }]);
    world.hub.emit("outbox", { entry: { ...entry("a", 1), failed }, done: "discarded" });
    expect(thread.snapshot.items).toEqual([]);
  });

  test("messages of the last run are shown too, even without a connection", async () => {
    world.entries = [entry("a", 1)];
    world.list({ head: 7 });
    world.connect("waiting");
    const thread = open(world);
    await thread.jump({ at: "end" });
    await until(() => thread.snapshot.items.length === 1);
    expect(thread.snapshot.error).toBeInstanceOf(Error);
  });

  test("edits are shown while they wait, taken back when they are refused", async () => {
    world.storeUnheard(sent(1, "x", 0));
    const thread = open(world);
    await thread.jump({ at: "end" });
    const change = entry("e", 1, { kind: "edit", target: 1, text: "better" });
    world.hub.emit("outbox", { entry: change });
    expect(item(thread, 1)).toMatchObject({
      text: "better",
      edited: false,
      change: { id: "e", kind: "edit" },
    });
    const failed = { code: "forbidden", message: "no", retryable: false } as const;
    world.hub.emit("outbox", { entry: { ...change, failed } });
    expect(item(thread, 1)).toMatchObject({ text: "x", change: { error: failed } });
    world.hub.emit("outbox", { entry: { ...change, id: "f" } });
    world.hub.emit("outbox", { entry: change, done: "discarded" });
    world.hub.emit("outbox", { entry: { ...change, id: "f" }, done: { seq: 2 } });
    expect(item(thread, 1)).toMatchObject({ text: "better", edited: true });
    expect(item(thread, 1)).not.toHaveProperty("change");
  });

  test("messages rise from stored to read as the other one's cursor does", async () => {
    world.storeUnheard(sent(1, "x", 0), sent(2, "y"));
    const thread = open(world);
    await thread.jump({ at: "end" });
    const statuses = () => thread.snapshot.items.map(({ status }) => status);
    const told = (delivered: number, read: number) =>
      world.hub.emit("receipts", { conversation: DM, cursors: [{ user: OTHER, delivered, read }] });
    expect(statuses()).toEqual(["stored", "stored"]);
    told(2, 1);
    expect(statuses()).toEqual(["read", "delivered"]);
    told(1, 1);
    expect(statuses()).toEqual(["read", "delivered"]);
    told(2, 2);
    expect(statuses()).toEqual(["read", "read"]);
    expect(thread.cursors).toEqual([{ user: OTHER, delivered: 2, read: 2 }]);
  });
});

test("receipts make anew only the items whose status changed", async () => {
  const own = Array.from({ length: 6 }, (_, index) => text(index + 1, { sender: ME }));
  world.storeUnheard(...own);
  const thread = open(world);
  await thread.jump({ at: "end" });
  const told = (delivered: number, read: number) =>
    world.hub.emit("receipts", { conversation: DM, cursors: [{ user: OTHER, delivered, read }] });
  told(5, 1);
  const before = thread.snapshot.items;
  told(6, 2);
  const { items } = thread.snapshot;
  expect(items.filter((now, index) => now !== before[index]).map(({ seq }) => seq)).toEqual([2, 6]);
});

test("a group that changes while its members are asked for is asked for again", async () => {
  world = new World(GROUP);
  const third = "01j9z3q0a1s2d3f4g5h6j7k8m9";
  const member = (id: string) => ({ user: { id, name: id }, cursor: { delivered: 1, read: 0 } });
  const answers: (() => void)[] = [];
  Object.assign(world.api, {
    members: () => {
      const { members } = world;
      return new Promise((resolve) => answers.push(() => resolve(members)));
    },
  });
  world.members = [ME, OTHER, third].map(member) as never;
  world.storeUnheard(text(1, { conversation: GROUP, prev: 0 }));
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const thread = open(world);
  await thread.jump({ at: "end" });
  world.members = world.members.slice(0, 2);
  await world.say(event(2, { type: "member_removed", user: third }));
  await vi.advanceTimersByTimeAsync(1_000);
  answers.shift()!();
  await vi.advanceTimersByTimeAsync(1_000);
  answers.shift()?.();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(thread.cursors.map(({ user }) => user)).toEqual([OTHER]);
});

test("in a group, a status is what all others have", async () => {
  world = new World(GROUP);
  const third = "01j9z3q0a1s2d3f4g5h6j7k8m9";
  const member = (id: string, delivered: number) => ({
    user: { id, name: id },
    cursor: { delivered, read: 0 },
  });
  world.members = [member(ME, 9), member(OTHER, 9), member(third, 1)];
  world.storeUnheard(
    text(1, { conversation: GROUP, sender: ME, prev: 0 }),
    text(2, { conversation: GROUP, sender: ME }),
  );
  const thread = open(world);
  await thread.jump({ at: "end" });
  await until(() => thread.cursors.length === 2);
  expect(thread.snapshot.items.map(({ status }) => status)).toEqual(["delivered", "stored"]);
  // The slow one leaves.
  vi.useFakeTimers();
  world.members = world.members.slice(0, 2);
  await world.say(event(3, { type: "member_removed", user: third }));
  await vi.advanceTimersByTimeAsync(1_000);
  vi.useRealTimers();
  await until(() => thread.cursors.length === 1);
  expect(thread.snapshot.items[1]!.status).toBe("delivered");
});

/** Threads: what is loaded has no hole, is bounded, and says how things stand. */
import fc from "fast-check";
import { beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";

import type { OutboxEntry } from "../../src/events.js";
import type { ThreadItem } from "../../src/models/models.js";
import { ThreadModel } from "../../src/models/thread.js";
import { isChange } from "../../src/store/settle.js";
import type { Message } from "../../src/wire.js";
import { deletion, DM, edit, event, GROUP, ME, OTHER, text, texts } from "../store/messages.js";
import { until, World } from "./world.js";

let world: World;

beforeEach(() => {
  world = new World();
});

const open = (from = world) => new ThreadModel(from, from.conversation, () => undefined);
const seqs = (thread: ThreadModel) => thread.snapshot.items.map((item) => item.seq);
const item = (thread: ThreadModel, seq: number) => thread.snapshot.items.find((other) => other.seq === seq)!;

function entry(
  id: string,
  order: number,
  content: OutboxEntry["content"] = { kind: "text", text: id },
): OutboxEntry {
  return { id, conversation: DM, order, at: 1, content };
}

describe("what is loaded", () => {
  test("is the end, then older pages to the start", async () => {
    world.storeUnheard(...texts(1, 130));
    const thread = open();
    expect(await thread.jump({ at: "end" })).toBe("id-130");
    expect(seqs(thread)).toEqual(texts(71, 130).map(({ seq }) => seq));
    expect(thread.snapshot).toMatchObject({ atStart: false, atEnd: true, loading: "none" });
    await thread.older();
    await thread.older();
    expect(seqs(thread)[0]).toBe(1);
    await thread.older();
    expect(thread.snapshot).toMatchObject({ atStart: true, atEnd: true });
    const asked = world.asked.length;
    await thread.older();
    expect(world.asked.length).toBe(asked);
  });

  test("comes from the store where that has no hole, without a question to the server", async () => {
    world.storeUnheard(...texts(1, 130));
    const first = open();
    await first.jump({ at: "end" });
    for (let page = 0; page < 3; page += 1) await first.older();
    const asked = world.asked.length;
    const second = open();
    await second.jump({ at: "end" });
    for (let page = 0; page < 3; page += 1) await second.older();
    expect(world.asked.length).toBe(asked);
    expect(seqs(second)).toEqual(texts(1, 130).map(({ seq }) => seq));
    expect(second.snapshot.atStart).toBe(true);
  });

  test("closes holes of the store from the server", async () => {
    world.storeUnheard(...texts(1, 200));
    await world.store.write([{ put: "messages", conversation: DM, messages: texts(1, 100) }]);
    await world.store.write([{ put: "messages", conversation: DM, messages: texts(151, 200) }]);
    const thread = open();
    await thread.jump({ at: "end" });
    for (let page = 0; page < 4; page += 1) await thread.older();
    expect(seqs(thread)).toEqual(texts(1, 200).map(({ seq }) => seq));
  });

  test("is bounded: the other end is let go of, and comes back", async () => {
    world.storeUnheard(...texts(1, 600));
    const thread = open();
    await thread.jump({ at: "end" });
    for (let page = 0; page < 7; page += 1) await thread.older();
    expect(thread.snapshot.items).toHaveLength(360);
    expect(thread.snapshot.atEnd).toBe(false);
    for (let page = 0; page < 7; page += 1) await thread.newer();
    expect(thread.snapshot.items).toHaveLength(360);
    expect(thread.snapshot).toMatchObject({ atEnd: true, atStart: false });
    expect(seqs(thread).at(-1)).toBe(600);
  });

  test("skips pages that show nothing", async () => {
    const edits = Array.from({ length: 150 }, (_, index) => edit(11 + index, 1));
    world.storeUnheard(...texts(1, 10), ...edits, ...texts(161, 170));
    const thread = open();
    await thread.jump({ at: "end" });
    await thread.older();
    expect(seqs(thread)[0]).toBe(1);
    expect(item(thread, 1).text).toBe("edited by 160");
  });

  test("of an empty conversation is nothing, and then its first message", async () => {
    const thread = open();
    expect(await thread.jump({ at: "end" })).toBeUndefined();
    expect(thread.snapshot).toMatchObject({ items: [], atStart: true, atEnd: true });
    await world.say(text(5, { prev: 0 }));
    expect(seqs(thread)).toEqual([5]);
  });
});

describe("places", () => {
  beforeEach(() => {
    world.storeUnheard(...texts(1, 500));
  });

  test("unread: the first that is, with what was read before", async () => {
    world.list({ unread: 100, cursor: { delivered: 500, read: 400 } });
    const thread = open();
    expect(await thread.jump({ at: "unread" })).toBe("id-401");
    expect(thread.snapshot.dividerAfter).toBe(400);
    expect(seqs(thread)).toContain(390);
  });

  test("unread of nothing is the end", async () => {
    world.list({ cursor: { delivered: 500, read: 500 } });
    const thread = open();
    expect(await thread.jump({ at: "unread" })).toBe("id-500");
    expect(thread.snapshot.dividerAfter).toBeUndefined();
  });

  test("a sequence, a time, and what is loaded already", async () => {
    const thread = open();
    await thread.jump({ at: "end" });
    expect(await thread.jump({ at: "seq", seq: 200 })).toBe("id-200");
    expect(thread.snapshot.atEnd).toBe(false);
    const { items } = thread.snapshot;
    expect(await thread.jump({ at: "seq", seq: 210 })).toBe("id-210");
    expect(thread.snapshot.items[0]).toBe(items[0]);
    expect(await thread.jump({ at: "time", time: 100_000 })).toBe("id-100");
    expect(await thread.jump({ at: "time", time: 99_500 })).toBe("id-100");
    expect(await thread.jump({ at: "end" })).toBe("id-500");
    expect(thread.snapshot.atEnd).toBe(true);
  });

  test("the last jump wins", async () => {
    const thread = open();
    world.held = [];
    const first = thread.jump({ at: "seq", seq: 100 });
    await until(() => world.held!.length === 1);
    const second = thread.jump({ at: "seq", seq: 300 });
    await until(() => world.held!.length === 2);
    world.held[1]!();
    world.held[0]!();
    expect(await Promise.all([first, second])).toEqual([undefined, "id-300"]);
    expect(seqs(thread)).toContain(300);
  });
});

test("what is no place is refused", async () => {
  const thread = open();
  await expect(thread.jump({ at: "seq", seq: NaN })).rejects.toThrow("seq is NaN");
  await expect(thread.jump({ at: "time", time: Infinity })).rejects.toThrow("time");
});

test("an edit that is kept alone is no place to stay at", async () => {
  world.storeUnheard(...texts(1, 100), ...Array.from({ length: 90 }, (_, index) => edit(101 + index, 1)));
  await world.store.write([{ put: "messages", conversation: DM, messages: [edit(190, 1)] }]);
  const thread = open();
  expect(await thread.jump({ at: "seq", seq: 190 })).toBe("id-100");
  expect(seqs(thread)).toContain(100);
});

describe("live", () => {
  test("messages follow at the end, and do not elsewhere", async () => {
    world.storeUnheard(...texts(1, 300));
    const thread = open();
    await thread.jump({ at: "end" });
    await world.say(text(301), text(302));
    expect(seqs(thread).slice(-2)).toEqual([301, 302]);
    await thread.jump({ at: "seq", seq: 100 });
    await world.say(text(303));
    expect(seqs(thread)).not.toContain(303);
    expect(thread.snapshot.atEnd).toBe(false);
  });

  test("what is heard during a load is there after it, once", async () => {
    world.storeUnheard(...texts(1, 70));
    const thread = open();
    world.held = [];
    const jumped = thread.jump({ at: "end" });
    await until(() => world.held!.length === 1);
    await world.say(text(71), text(72));
    world.held[0]!();
    world.held = undefined;
    await jumped;
    expect(seqs(thread).slice(-3)).toEqual([70, 71, 72]);
    expect(thread.snapshot.atEnd).toBe(true);
    expect(new Set(seqs(thread)).size).toBe(thread.snapshot.items.length);
  });

  test("a message whose predecessor is not known is no reason for a hole", async () => {
    world.storeUnheard(...texts(1, 10));
    const thread = open();
    await thread.jump({ at: "end" });
    world.storeUnheard(text(11), text(12));
    await world.hear(text(12, { prev: 0 }));
    await until(() => seqs(thread).at(-1) === 12);
    expect(seqs(thread)).toContain(11);
  });

  test("after a gap that stays, history has the rest", async () => {
    world.storeUnheard(...texts(1, 10));
    const thread = open();
    await thread.jump({ at: "end" });
    world.storeUnheard(...texts(11, 100));
    world.hub.emit("truncated", { conversation: DM, cursor: 10, head: 100 });
    expect(thread.snapshot.atEnd).toBe(false);
    await world.say(text(101));
    await thread.newer();
    await thread.newer();
    expect(seqs(thread)).toEqual(texts(1, 101).map(({ seq }) => seq));
    expect(thread.snapshot.atEnd).toBe(true);
  });

  test("what was edited or deleted in a gap that stays is so in the piece, in quotes, and on the device", async () => {
    world.storeUnheard(...texts(1, 150), text(151, { reply_to: 3 }));
    await world.store.write([{ put: "messages", conversation: DM, messages: texts(1, 150) }]);
    world.list();
    const thread = open();
    await thread.jump({ at: "end" });
    await thread.older();
    await until(() => item(thread, 151).replyTo?.item?.text === "text 3");
    world.storeUnheard(edit(152, 3), deletion(153, 40), edit(154, 140), ...texts(155, 400));
    await world.store.write([{ drop: "messages", conversation: DM, upTo: 400 }]);
    world.hub.emit("truncated", { conversation: DM, cursor: 151, head: 400 });
    await until(() => item(thread, 140).text === "edited by 154");
    await until(() => item(thread, 151).replyTo?.item?.text === "edited by 152");
    await thread.jump({ at: "seq", seq: 40 });
    expect(item(thread, 40)).toMatchObject({ deleted: true });
  });

  test("what another tab kept without a word is found after a resume", async () => {
    world.storeUnheard(...texts(1, 10));
    world.list();
    const thread = open();
    await thread.jump({ at: "end" });
    world.storeUnheard(text(11));
    await world.store.write([{ put: "messages", conversation: DM, messages: [text(11)] }]);
    world.list();
    world.hub.emit("resumed", { complete: true });
    await until(() => seqs(thread).at(-1) === 11);
    expect(thread.snapshot.atEnd).toBe(true);
  });

  test("what another tab kept without a word is no hole, when more follows it", async () => {
    world.storeUnheard(...texts(1, 10));
    world.list();
    const thread = open();
    await thread.jump({ at: "end" });
    await world.say(text(11));
    // The next leader goes on after what the last one kept.
    world.storeUnheard(text(12), text(13));
    const { user } = world;
    world.hub.emit("ready", { user, limits: {} as never, conversations: [] });
    await world.say(text(14));
    await until(() => thread.snapshot.atEnd && thread.snapshot.loading === "none");
    expect(seqs(thread).slice(-4)).toEqual([11, 12, 13, 14]);
  });

  test("the start is let go of while one looks at the end, and the end while one reads the start", async () => {
    world.storeUnheard(...texts(1, 350));
    const facingEnd = open();
    await facingEnd.jump({ at: "end" });
    await world.say(...texts(351, 700));
    expect(facingEnd.snapshot.items.length).toBeLessThanOrEqual(360);
    expect(facingEnd.snapshot.atEnd).toBe(true);
    const facingStart = open();
    await facingStart.jump({ at: "end" });
    for (let page = 0; page < 5; page += 1) await facingStart.older();
    const [first] = seqs(facingStart);
    await world.say(...texts(701, 720));
    expect(seqs(facingStart)[0]).toBe(first);
    expect(facingStart.snapshot.items).toHaveLength(360);
    expect(facingStart.snapshot.atEnd).toBe(false);
  });

  test("a reader who has left the end keeps what is being read, however much comes", async () => {
    world.storeUnheard(...texts(1, 350));
    const thread = open();
    await thread.jump({ at: "end" });
    thread.follow(false);
    const [first] = seqs(thread);
    for (let at = 351; at < 900; at += 10) await world.say(...texts(at, at + 9));
    expect(seqs(thread)[0]).toBe(first);
    expect(thread.snapshot.items.length).toBeLessThanOrEqual(360);
    expect(thread.snapshot.atEnd).toBe(false);
    thread.follow(true);
    await thread.jump({ at: "end" });
    expect(thread.snapshot.atEnd).toBe(true);
  });

  test("edits and deletions change what is loaded, and nothing else", async () => {
    world.storeUnheard(...texts(1, 50));
    const thread = open();
    await thread.jump({ at: "end" });
    const before = thread.snapshot.items;
    await world.say(edit(51, 10), deletion(52, 20));
    const after = thread.snapshot.items;
    expect(item(thread, 10)).toMatchObject({ text: "edited by 51", edited: true });
    expect(item(thread, 20)).toMatchObject({ deleted: true });
    expect(item(thread, 20)).not.toHaveProperty("text");
    expect(after.filter((now, index) => now !== before[index]).map(({ seq }) => seq)).toEqual([10, 20]);
  });

  test("an answer that is older than an edit does not bring the old text back", async () => {
    world.storeUnheard(...texts(1, 200));
    const thread = open();
    await thread.jump({ at: "end" });
    world.held = [];
    const loaded = thread.older();
    await until(() => world.held!.length === 1);
    await world.say(edit(201, 130));
    world.held[0]!();
    await loaded;
    expect(item(thread, 130).text).toBe("edited by 201");
  });
});

describe("one's own", () => {
  const sent = (seq: number, id: string, prev = seq - 1): Message =>
    text(seq, { id, sender: ME, prev, text: id });

  test("messages stand at the end in order, and keep their key when they are stored", async () => {
    world.storeUnheard(...texts(1, 3));
    const thread = open();
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
    const thread = open();
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
    const thread = open();
    await thread.jump({ at: "end" });
    await until(() => thread.snapshot.items.length === 1);
    expect(thread.snapshot.error).toBeInstanceOf(Error);
  });

  test("edits are shown while they wait, taken back when they are refused", async () => {
    world.storeUnheard(sent(1, "x", 0));
    const thread = open();
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
    const thread = open();
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
  const thread = open();
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
  const thread = open();
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
  const thread = open();
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

describe("what is answered", () => {
  test("is shown from the piece, from the store, and from the server", async () => {
    world.storeUnheard(...texts(1, 300), text(301, { reply_to: 300 }), text(302, { reply_to: 5 }));
    const thread = open();
    await thread.jump({ at: "end" });
    expect(item(thread, 301).replyTo).toMatchObject({ seq: 300, item: { text: "text 300", sender: OTHER } });
    await until(() => item(thread, 302).replyTo?.item !== undefined);
    expect(item(thread, 302).replyTo?.item?.text).toBe("text 5");
    await world.say(edit(303, 300), edit(304, 5));
    expect(item(thread, 301).replyTo?.item?.text).toBe("edited by 303");
    await until(() => item(thread, 302).replyTo?.item?.text === "edited by 304");
  });
});

describe("without a connection", () => {
  test("what is kept is shown, with the reason why there is no more, until there is", async () => {
    world.storeUnheard(...texts(1, 200));
    await world.store.write([{ put: "messages", conversation: DM, messages: texts(101, 200) }]);
    world.list();
    world.connect("waiting");
    const thread = open();
    await thread.jump({ at: "end" });
    await thread.older();
    expect(seqs(thread)[0]).toBe(101);
    await thread.older();
    expect(thread.snapshot).toMatchObject({
      atStart: false,
      loading: "none",
      error: { name: "UnreachableError" },
    });
    world.connect("online");
    await until(() => thread.snapshot.loading === "none" && thread.snapshot.error === undefined);
    await until(() => seqs(thread)[0] === 41);
  });

  test("a time is found in what is kept", async () => {
    await world.store.write([{ put: "messages", conversation: DM, messages: texts(1, 300) }]);
    world.list({ head: 300 });
    world.connect("waiting");
    const thread = open();
    expect(await thread.jump({ at: "time", time: 150_000 })).toBe("id-150");
  });
});

test("subscribers hear of many changes once, and of unchanged items as the same objects", async () => {
  world.storeUnheard(...texts(1, 60));
  const thread = open();
  await thread.jump({ at: "end" });
  world.tick();
  const heard: (readonly ThreadItem[])[] = [];
  thread.subscribe(({ items }) => heard.push(items));
  const before = thread.snapshot.items;
  for (let seq = 61; seq <= 110; seq += 1) await world.say(text(seq));
  world.tick();
  expect(heard).toHaveLength(1);
  expect(heard[0]!.slice(0, 60).every((now, index) => now === before[index])).toBe(true);
});

test("whatever happens, there is no hole, and all is as the server has it", async () => {
  const step = fc.oneof(
    fc.record({ do: fc.constantFrom("older", "newer", "end") }),
    fc.record({ do: fc.constant("seq" as const), at: fc.integer({ min: 1, max: 700 }) }),
    fc.record({ do: fc.constantFrom("text", "edit", "delete"), at: fc.integer({ min: 1, max: 700 }) }),
    fc.record({ do: fc.constantFrom("missed", "offline", "online") }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      world = new World();
      world.storeUnheard(...texts(1, 500));
      world.list();
      const thread = open();
      await thread.jump({ at: "end" });
      for (const next of steps) {
        const seq = world.head + 1;
        const at = "at" in next ? Math.min(next.at as number, world.head) : 1;
        if (next.do === "older") await thread.older();
        if (next.do === "newer") await thread.newer();
        if (next.do === "end") await thread.jump({ at: "end" });
        if (next.do === "seq") await thread.jump({ at: "seq", seq: at });
        if (next.do === "text") await world.say(text(seq));
        if (next.do === "edit") await world.say(edit(seq, at));
        if (next.do === "delete") await world.say(deletion(seq, at));
        if (next.do === "missed") {
          world.storeUnheard(...texts(seq, seq + 70));
          world.hub.emit("truncated", { conversation: DM, cursor: seq - 1, head: seq + 70 });
        }
        if (next.do === "offline") world.connect("waiting");
        if (next.do === "online") world.connect("online");
        await until(() => thread.snapshot.loading === "none");
        const { items, atEnd, atStart } = thread.snapshot;
        expect(items.length).toBeLessThanOrEqual(360);
        const shown = world.log.filter((message) => !isChange(message)).map((message) => message.seq);
        const from = shown.indexOf(items[0]!.seq!);
        expect(items.map((one) => one.seq)).toEqual(shown.slice(from, from + items.length));
        if (atStart) expect(from).toBe(0);
        if (atEnd) expect(items.at(-1)!.seq).toBe(shown.at(-1));
        for (const one of items) {
          const state = world.state(one.seq!);
          expect(one.text).toBe(state.kind === "text" ? state.text : undefined);
        }
      }
      thread.close();
    }),
    { numRuns: 25 },
  );
});

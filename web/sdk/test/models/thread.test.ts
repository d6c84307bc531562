/** Threads: what is loaded has no hole, is bounded, and says how things stand. */
import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";

import type { ThreadItem } from "../../src/models/models.js";
import { isChange } from "../../src/store/settle.js";
import { deletion, DM, edit, OTHER, text, texts } from "../store/messages.js";
import { item, open, seqs } from "./threads.js";
import { until, World } from "./world.js";

let world: World;

beforeEach(() => {
  world = new World();
});

describe("what is loaded", () => {
  test("is the end, then older pages to the start", async () => {
    world.storeUnheard(...texts(1, 130));
    const thread = open(world);
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
    const first = open(world);
    await first.jump({ at: "end" });
    for (let page = 0; page < 3; page += 1) await first.older();
    const asked = world.asked.length;
    const second = open(world);
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
    const thread = open(world);
    await thread.jump({ at: "end" });
    for (let page = 0; page < 4; page += 1) await thread.older();
    expect(seqs(thread)).toEqual(texts(1, 200).map(({ seq }) => seq));
  });

  test("is bounded: the other end is let go of, and comes back", async () => {
    world.storeUnheard(...texts(1, 600));
    const thread = open(world);
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
    const thread = open(world);
    await thread.jump({ at: "end" });
    await thread.older();
    expect(seqs(thread)[0]).toBe(1);
    expect(item(thread, 1).text).toBe("edited by 160");
  });

  test("of an empty conversation is nothing, and then its first message", async () => {
    const thread = open(world);
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
    const thread = open(world);
    expect(await thread.jump({ at: "unread" })).toBe("id-401");
    expect(thread.snapshot.dividerAfter).toBe(400);
    expect(seqs(thread)).toContain(390);
  });

  test("unread of nothing is the end", async () => {
    world.list({ cursor: { delivered: 500, read: 500 } });
    const thread = open(world);
    expect(await thread.jump({ at: "unread" })).toBe("id-500");
    expect(thread.snapshot.dividerAfter).toBeUndefined();
  });

  test("a sequence, a time, and what is loaded already", async () => {
    const thread = open(world);
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
    const thread = open(world);
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
  const thread = open(world);
  await expect(thread.jump({ at: "seq", seq: NaN })).rejects.toThrow("seq is NaN");
  await expect(thread.jump({ at: "time", time: Infinity })).rejects.toThrow("time");
});

test("an edit that is kept alone is no place to stay at", async () => {
  world.storeUnheard(...texts(1, 100), ...Array.from({ length: 90 }, (_, index) => edit(101 + index, 1)));
  await world.store.write([{ put: "messages", conversation: DM, messages: [edit(190, 1)] }]);
  const thread = open(world);
  expect(await thread.jump({ at: "seq", seq: 190 })).toBe("id-100");
  expect(seqs(thread)).toContain(100);
});

describe("what is answered", () => {
  test("is shown from the piece, from the store, and from the server", async () => {
    world.storeUnheard(...texts(1, 300), text(301, { reply_to: 300 }), text(302, { reply_to: 5 }));
    const thread = open(world);
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
    const thread = open(world);
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
    const thread = open(world);
    expect(await thread.jump({ at: "time", time: 150_000 })).toBe("id-150");
  });
});

test("subscribers hear of many changes once, and of unchanged items as the same objects", async () => {
  world.storeUnheard(...texts(1, 60));
  const thread = open(world);
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
      const thread = open(world);
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

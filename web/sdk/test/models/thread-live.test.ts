/** Threads while one looks: what arrives, is missed, edited and deleted meanwhile. */
import { beforeEach, describe, expect, test } from "vitest";

import { deletion, DM, edit, text, texts } from "../store/messages.js";
import { item, open, seqs } from "./threads.js";
import { until, World } from "./world.js";

let world: World;

beforeEach(() => {
  world = new World();
});

describe("live", () => {
  test("messages follow at the end, and do not elsewhere", async () => {
    world.storeUnheard(...texts(1, 300));
    const thread = open(world);
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
    const thread = open(world);
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
    const thread = open(world);
    await thread.jump({ at: "end" });
    world.storeUnheard(text(11), text(12));
    await world.hear(text(12, { prev: 0 }));
    await until(() => seqs(thread).at(-1) === 12);
    expect(seqs(thread)).toContain(11);
  });

  test("after a gap that stays, history has the rest", async () => {
    world.storeUnheard(...texts(1, 10));
    const thread = open(world);
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
    const thread = open(world);
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
    const thread = open(world);
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
    const thread = open(world);
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
    const facingEnd = open(world);
    await facingEnd.jump({ at: "end" });
    await world.say(...texts(351, 700));
    expect(facingEnd.snapshot.items.length).toBeLessThanOrEqual(360);
    expect(facingEnd.snapshot.atEnd).toBe(true);
    const facingStart = open(world);
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
    const thread = open(world);
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
    const thread = open(world);
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
    const thread = open(world);
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

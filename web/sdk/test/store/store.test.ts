/** The promises of a store, kept by each of them. */
import { IDBFactory, IDBKeyRange } from "fake-indexeddb";
import fc from "fast-check";
import { beforeEach, describe, expect, test, vi } from "vitest";

import { IndexedDbStore } from "../../src/store/indexeddb.js";
import { MemoryStore } from "../../src/store/memory.js";
import { SafeStore } from "../../src/store/safe.js";
import { changed, isChange } from "../../src/store/settle.js";
import type { Store } from "../../src/store/store.js";
import type { OutboxEntry } from "../../src/events.js";
import type { Message, Summary } from "../../src/wire.js";
import { deletion, DM, edit, GROUP, ME, OTHER, text, texts } from "./messages.js";

const BOUNDS = { perConversation: 50, total: 120 };

beforeEach(() => {
  vi.stubGlobal("IDBKeyRange", IDBKeyRange);
});

const STORES: [string, () => Store][] = [
  ["memory", () => new MemoryStore(BOUNDS)],
  ["IndexedDB", () => new IndexedDbStore("test", {}, BOUNDS, new IDBFactory())],
  [
    "IndexedDB with memory behind it",
    () =>
      new SafeStore(
        (events) => new IndexedDbStore("test", events, BOUNDS, new IDBFactory()),
        (error) => {
          throw error;
        },
      ),
  ],
];

const entry = (id: string, order: number): OutboxEntry => ({
  id,
  conversation: DM,
  order,
  at: 1,
  content: { kind: "text", text: "waits" },
});
const summary = (conversation: string): Summary => ({
  conversation,
  head: 3,
  unread: 1,
  cursor: { delivered: 1, read: 1 },
});

describe.each(STORES)("a store in %s", (_, make) => {
  const seqs = (messages: Message[]) => messages.map((message) => message.seq);

  async function opened(): Promise<Store> {
    const store = make();
    await store.open();
    return store;
  }

  const put = (store: Store, messages: Message[], conversation = DM) =>
    store.write([{ put: "messages", conversation, messages }]);

  test("opens with what was written", async () => {
    const store = await opened();
    await store.write([
      { put: "outbox", entry: entry("a", 1) },
      { put: "outbox", entry: entry("b", 2) },
      { put: "cursor", conversation: DM, seq: 7 },
      { put: "summaries", summaries: [summary(DM), summary(GROUP)] },
      { put: "draft", conversation: DM, text: "begun" },
      { put: "draft", conversation: GROUP, text: "gone" },
    ]);
    await store.write([
      { drop: "outbox", id: "a" },
      { put: "cursor", conversation: DM, seq: 5 },
      { put: "draft", conversation: GROUP, text: "" },
    ]);
    const opening = await store.open();
    expect(opening.outbox).toEqual([entry("b", 2)]);
    expect(opening.cursors).toEqual(new Map([[DM, 7]]));
    expect(opening.summaries.map(({ conversation }) => conversation).sort()).toEqual([DM, GROUP].sort());
    expect(opening.drafts).toEqual(new Map([[DM, "begun"]]));
    expect(await store.draft(DM)).toBe("begun");
    expect(await store.draft(GROUP)).toBe("");
  });

  test("lets go of messages up to a place, and of nothing else", async () => {
    const store = await opened();
    await put(store, texts(1, 30));
    await put(store, [text(5, { conversation: GROUP })], GROUP);
    await store.write([
      { put: "outbox", entry: entry("a", 1) },
      { put: "draft", conversation: DM, text: "begun" },
      { put: "cursor", conversation: DM, seq: 30 },
    ]);
    await store.write([{ drop: "messages", conversation: DM, upTo: 20 }]);
    expect(seqs(await store.messages(DM, { limit: 50 }))[0]).toBe(21);
    expect(seqs(await store.messages(GROUP, { limit: 50 }))).toEqual([5]);
    const { outbox, cursors } = await store.open();
    expect([outbox.length, cursors.get(DM), await store.draft(DM)]).toEqual([1, 30, "begun"]);
  });

  test("finds messages before and after a place", async () => {
    const store = await opened();
    await put(store, texts(10, 30));
    await put(store, [text(5, { conversation: GROUP })], GROUP);
    expect(seqs(await store.messages(DM, { limit: 3 }))).toEqual([28, 29, 30]);
    expect(seqs(await store.messages(DM, { before: 20, limit: 3 }))).toEqual([17, 18, 19]);
    expect(seqs(await store.messages(DM, { before: 12, limit: 5 }))).toEqual([10, 11]);
    expect(seqs(await store.messages(DM, { after: 20, limit: 3 }))).toEqual([21, 22, 23]);
    expect(seqs(await store.messages(DM, { after: 29, limit: 3 }))).toEqual([30]);
    expect(seqs(await store.messages(GROUP, { limit: 3 }))).toEqual([5]);
    expect(await store.messages("group.nobody", { limit: 3 })).toEqual([]);
    expect((await store.message(DM, 15))?.id).toBe("id-15");
    expect(await store.message(DM, 99)).toBeUndefined();
  });

  test("applies edits and deletions, whichever came first", async () => {
    const store = await opened();
    await put(store, texts(1, 4));
    await put(store, [
      edit(5, 1),
      deletion(6, 2),
      edit(7, 3, { sender: ME }),
      deletion(8, 3, { sender: ME }),
    ]);
    expect(await store.message(DM, 1)).toMatchObject({ text: "edited by 5", edited: 5 });
    const deleted = await store.message(DM, 2);
    expect(deleted).toMatchObject({ deleted: 6 });
    expect(deleted).not.toHaveProperty("text");
    // Somebody else's.
    expect(await store.message(DM, 3)).toEqual(text(3));
    // The target comes from an answer that is older than its edit.
    await put(store, [edit(40, 20), edit(41, 21), deletion(42, 21)]);
    await put(store, texts(20, 22));
    expect(await store.message(DM, 20)).toMatchObject({ text: "edited by 40" });
    expect(await store.message(DM, 21)).toMatchObject({ deleted: 42 });
    expect(await store.message(DM, 41)).not.toHaveProperty("text");
    // An older telling does not bring it back.
    await put(store, texts(20, 22));
    expect(await store.message(DM, 20)).toMatchObject({ text: "edited by 40" });
    expect(await store.message(DM, 21)).not.toHaveProperty("text");
  });

  test("keeps what is known of the message before", async () => {
    const store = await opened();
    await put(store, [text(9, { prev: 4 })]);
    await put(store, [text(9, { prev: 0 })]);
    expect(await store.message(DM, 9)).toMatchObject({ prev: 4 });
  });

  test("in a group, anybody who may deletes", async () => {
    const store = await opened();
    const target = text(1, { conversation: GROUP });
    await put(store, [target, deletion(2, 1, { conversation: GROUP, sender: ME })], GROUP);
    expect(await store.message(GROUP, 1)).toMatchObject({ deleted: 2 });
  });

  test("holds the same state whatever the order", async () => {
    const change = fc.record({
      kind: fc.constantFrom("edit", "delete"),
      target: fc.integer({ min: 1, max: 4 }),
      sender: fc.constantFrom(ME, OTHER),
    });
    const scenario = fc.array(change, { maxLength: 6 }).chain((changes) => {
      const messages: Message[] = [
        ...texts(1, 4),
        ...changes.map(({ kind, target, sender }, index) =>
          kind === "edit" ? edit(5 + index, target, { sender }) : deletion(5 + index, target, { sender }),
        ),
      ];
      return fc.tuple(fc.constant(messages), fc.shuffledSubarray(messages, { minLength: messages.length }));
    });
    await fc.assert(
      fc.asyncProperty(scenario, async ([messages, shuffled]) => {
        const state = new Map(texts(1, 4).map((message) => [message.seq, message as Message]));
        for (const message of messages) {
          if (isChange(message)) state.set(message.target, changed(state.get(message.target)!, message));
        }
        const store = await opened();
        for (const message of shuffled) await put(store, [message]);
        for (const [seq, expected] of state) expect(await store.message(DM, seq)).toEqual(expected);
        await store.destroy();
      }),
      { numRuns: 40 },
    );
  });

  test("cursors of others only rise", async () => {
    const store = await opened();
    const told = (delivered: number, read: number) =>
      store.write([{ put: "receipts", conversation: DM, cursors: [{ user: OTHER, delivered, read }] }]);
    await told(5, 3);
    await told(4, 4);
    expect(await store.receipts(DM)).toEqual([{ user: OTHER, delivered: 5, read: 4 }]);
    expect(await store.receipts(GROUP)).toEqual([]);
  });

  test("forgets a conversation, but not what is unsent", async () => {
    const store = await opened();
    await put(store, texts(1, 3));
    await store.write([
      { put: "outbox", entry: entry("a", 1) },
      { put: "cursor", conversation: DM, seq: 3 },
      { put: "receipts", conversation: DM, cursors: [{ user: OTHER, delivered: 1, read: 1 }] },
      { put: "summaries", summaries: [summary(DM)] },
    ]);
    await store.write([{ drop: "conversation", conversation: DM }]);
    expect(await store.messages(DM, { limit: 9 })).toEqual([]);
    expect(await store.receipts(DM)).toEqual([]);
    const opening = await store.open();
    expect(opening).toMatchObject({ outbox: [{ id: "a" }], summaries: [] });
    expect(opening.cursors.size).toBe(0);
  });

  test("knows people and values", async () => {
    const store = await opened();
    const profiles = [{ id: ME, name: "Ann", handle: "ann" }];
    await store.write([
      { put: "profiles", profiles },
      { put: "value", name: "limits", value: { text_chars_max: 9 } },
    ]);
    expect(await store.profiles([OTHER, ME])).toEqual(profiles);
    expect(await store.value("limits")).toEqual({ text_chars_max: 9 });
    expect(await store.value("nothing")).toBeUndefined();
  });

  test("is empty after it was destroyed", async () => {
    const store = await opened();
    await store.write([{ put: "outbox", entry: entry("a", 1) }]);
    await put(store, texts(1, 3));
    await store.destroy();
    const opening = await store.open();
    expect(opening.outbox).toEqual([]);
    expect(await store.messages(DM, { limit: 9 })).toEqual([]);
  });
});

/** What can happen to a database on a device. */
import { IDBFactory, IDBKeyRange, IDBObjectStore } from "fake-indexeddb";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import type { OutboxEntry } from "../../src/events.js";
import { IndexedDbStore } from "../../src/store/indexeddb.js";
import { Pruner } from "../../src/store/prune.js";
import { openDatabase } from "../../src/store/idb.js";
import { SafeStore } from "../../src/store/safe.js";
import { upgrade, VERSION } from "../../src/store/schema.js";
import { DM, GROUP, text, texts } from "./messages.js";

const ENTRY: OutboxEntry = {
  id: "a",
  conversation: DM,
  order: 1,
  at: 1,
  content: { kind: "text", text: "unsent" },
};

let factory: IDBFactory;

beforeEach(() => {
  factory = new IDBFactory();
  vi.stubGlobal("IDBKeyRange", IDBKeyRange);
});

afterEach(() => {
  vi.restoreAllMocks();
});

function safe(): { store: SafeStore; failures: string[] } {
  const failures: string[] = [];
  const store = new SafeStore(
    (events) => new IndexedDbStore("test", events, undefined, factory),
    (error) => failures.push(error.message),
  );
  return { store, failures };
}

test("what one wrote, the next finds", async () => {
  const first = new IndexedDbStore("test", {}, undefined, factory);
  await first.open();
  await first.write([
    { put: "outbox", entry: ENTRY },
    { put: "messages", conversation: DM, messages: texts(1, 3) },
  ]);
  first.close();
  const second = new IndexedDbStore("test", {}, undefined, factory);
  expect((await second.open()).outbox).toEqual([ENTRY]);
  expect(await second.messages(DM, { limit: 9 })).toHaveLength(3);
  const other = new IndexedDbStore("other", {}, undefined, factory);
  expect((await other.open()).outbox).toEqual([]);
});

test("a list of changes is written as a whole or not at all", async () => {
  const store = new IndexedDbStore("test", {}, undefined, factory);
  await store.open();
  const wrong = { id: "b", content: () => "no data" } as unknown as OutboxEntry;
  const written = store.write([
    { put: "outbox", entry: ENTRY },
    { put: "outbox", entry: wrong },
  ]);
  await expect(written).rejects.toThrow();
  expect((await store.open()).outbox).toEqual([]);
});

test("what is unsent is written strictly, and the rest is not", async () => {
  const store = new IndexedDbStore("test", {}, undefined, factory);
  await store.open();
  const used: (string | undefined)[] = [];
  const original = Object.getPrototypeOf(await openRaw()).transaction as (...args: unknown[]) => unknown;
  const proto = Object.getPrototypeOf(await openRaw()) as { transaction: unknown };
  proto.transaction = function (this: unknown, ...args: unknown[]) {
    if (args[1] === "readwrite") used.push((args[2] as { durability?: string } | undefined)?.durability);
    return original.apply(this, args);
  };
  await store.write([{ put: "outbox", entry: ENTRY }]);
  await store.write([{ put: "messages", conversation: DM, messages: [text(1)] }]);
  proto.transaction = original;
  expect(used).toEqual(["strict", "relaxed"]);
});

function openRaw(): Promise<IDBDatabase> {
  return openDatabase(factory as never, {
    name: "natterjack.raw",
    version: VERSION,
    upgrade,
    closed: () => undefined,
  });
}

describe("within bounds", () => {
  async function filled(
    perConversation: number,
    total: number,
  ): Promise<{ store: IndexedDbStore; pruner: Pruner }> {
    const bounds = { perConversation, total };
    const store = new IndexedDbStore("raw", {}, bounds, factory);
    await store.open();
    const pruner = new Pruner(openRaw, bounds);
    for (const conversation of [DM, GROUP, "group.third"]) {
      const messages = texts(1, 700).map((message) => ({ ...message, conversation }));
      await store.write([{ put: "messages", conversation, messages }]);
      pruner.wrote(conversation);
    }
    return { store, pruner };
  }

  test("the oldest of a conversation go", async () => {
    const { store, pruner } = await filled(100, 10_000);
    await pruner.prune();
    pruner.stop();
    const kept = await store.messages(DM, { limit: 1_000 });
    expect(kept).toHaveLength(100);
    expect(kept.at(-1)?.seq).toBe(700);
  });

  test("conversations that were not opened for longest go as a whole", async () => {
    const { store, pruner } = await filled(1_000, 1_500);
    vi.spyOn(Date, "now").mockReturnValue(1e12);
    await store.messages(DM, { limit: 1 });
    vi.spyOn(Date, "now").mockReturnValue(1e12 + 9);
    await store.messages("group.third", { limit: 1 });
    await pruner.prune();
    pruner.stop();
    const counts = [];
    for (const conversation of [DM, GROUP, "group.third"]) {
      counts.push((await store.messages(conversation, { limit: 1_000 })).length);
    }
    expect(counts).toEqual([700, 0, 700]);
  });
});

describe("when the device fails", () => {
  test("and there is no database, memory is enough", async () => {
    vi.spyOn(factory, "open").mockImplementation(() => {
      throw new Error("not in this mode");
    });
    const { store, failures } = safe();
    expect((await store.open()).outbox).toEqual([]);
    await store.write([{ put: "outbox", entry: ENTRY }]);
    expect((await store.open()).outbox).toEqual([ENTRY]);
    expect(failures).toEqual(["not in this mode"]);
  });

  test("and another tab deletes the database, the outbox stays", async () => {
    const { store, failures } = safe();
    await store.open();
    await store.write([
      { put: "outbox", entry: ENTRY },
      { put: "cursor", conversation: DM, seq: 4 },
    ]);
    await new IndexedDbStore("test", {}, undefined, factory).destroy();
    const opening = await store.open();
    expect(opening.outbox).toEqual([ENTRY]);
    expect(opening.cursors.get(DM)).toBe(4);
    expect(failures).toEqual(["the data on this device was deleted"]);
  });

  test("and a write fails, it is in memory with all that was unsent", async () => {
    const { store, failures } = safe();
    await store.open();
    await store.write([{ put: "outbox", entry: ENTRY }]);
    vi.spyOn(IDBObjectStore.prototype, "put").mockImplementation(() => {
      throw new Error("the disk is broken");
    });
    await store.write([{ put: "outbox", entry: { ...ENTRY, id: "b", order: 2 } }]);
    expect((await store.open()).outbox.map(({ id }) => id)).toEqual(["a", "b"]);
    expect(failures).toEqual(["the disk is broken"]);
  });

  test("and there is no room, messages make room for the outbox", async () => {
    const { store, failures } = safe();
    await store.open();
    await store.write([{ put: "messages", conversation: DM, messages: texts(1, 900) }]);
    let full = true;
    const remove = IDBObjectStore.prototype.delete;
    vi.spyOn(IDBObjectStore.prototype, "delete").mockImplementation(function (
      this: IDBObjectStore,
      key: IDBValidKey | IDBKeyRange,
    ) {
      full = false;
      return remove.call(this, key);
    });
    const original = IDBObjectStore.prototype.put;
    vi.spyOn(IDBObjectStore.prototype, "put").mockImplementation(function (
      this: IDBObjectStore,
      value: unknown,
    ) {
      if (full) throw new DOMException("no room", "QuotaExceededError");
      return original.call(this, value);
    });
    await store.write([{ put: "outbox", entry: ENTRY }]);
    expect(failures).toEqual([]);
    expect((await store.open()).outbox).toEqual([ENTRY]);
    expect((await store.messages(DM, { limit: 1_000 })).length).toBe(200);
  });

  test("and whoever calls is at fault, the device goes on being used", async () => {
    const { store, failures } = safe();
    await store.open();
    await expect(store.messages(DM, { after: NaN, limit: 1 })).rejects.toThrow();
    await expect(store.message(DM, undefined as never)).rejects.toThrow();
    const wrong = { ...ENTRY, id: "b", content: () => "no data" } as unknown as OutboxEntry;
    await expect(store.write([{ put: "outbox", entry: wrong }])).rejects.toThrow();
    await store.write([{ put: "outbox", entry: ENTRY }]);
    const next = new IndexedDbStore("test", {}, undefined, factory);
    expect((await next.open()).outbox).toEqual([ENTRY]);
    expect(failures).toEqual([]);
  });

  test("and it is for want of room, the error says so whichever request it was", async () => {
    const store = new IndexedDbStore("test", {}, undefined, factory);
    await store.open();
    const original = IDBObjectStore.prototype.get;
    // Browsers abort all requests of a transaction that has no room.
    vi.spyOn(IDBObjectStore.prototype, "get").mockImplementation(function (
      this: IDBObjectStore & { transaction: { _abort(name: string): void } },
      key: IDBValidKey,
    ) {
      const request = original.call(this, key as never);
      this.transaction._abort("QuotaExceededError");
      return request;
    } as never);
    const written = store.write([{ put: "cursor", conversation: DM, seq: 1 }]);
    await expect(written).rejects.toMatchObject({ name: "QuotaExceededError" });
  });

  test("and its data was cleared, what another tab has discarded does not come back", async () => {
    const { store } = safe();
    await store.open();
    await store.write([{ put: "outbox", entry: ENTRY }]);
    const other = new IndexedDbStore("test", {}, undefined, factory);
    await other.open();
    await other.write([{ drop: "outbox", id: ENTRY.id }]);
    expect((await store.open()).outbox).toEqual([]);
    await other.destroy();
    expect((await store.open()).outbox).toEqual([]);
  });

  test("and it is closed on purpose, nobody complains", async () => {
    const { store, failures } = safe();
    await store.open();
    store.close();
    await expect(store.write([{ put: "outbox", entry: ENTRY }])).rejects.toThrow("closed");
    expect(failures).toEqual([]);
  });
});

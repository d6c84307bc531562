/** The list of conversations: order, counts, and what becomes of it as things happen. */
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import type { Command } from "../../src/engine/engine.js";
import { ServerError } from "../../src/errors.js";
import type { OutboxEntry } from "../../src/events.js";
import { ListModel } from "../../src/models/list.js";
import { PeopleModel } from "../../src/models/people.js";
import type { GroupEvent, Message, Summary } from "../../src/wire.js";
import { deletion, DM, edit, event, GROUP, ME, OTHER, text } from "../store/messages.js";
import { until, World } from "./world.js";

const LOG = `user.${ME}`;

class ListWorld extends World {
  readonly summaries = new Map<string, Summary>();
  readonly fetched: string[] = [];
  pages: { conversations: Summary[]; next?: string }[] = [];
  readonly peopleModel = new PeopleModel(this);
  readonly conversations = new ListModel(this, this.peopleModel);

  constructor() {
    super();
    Object.assign(this.api, {
      conversation: (conversation: string) => {
        this.fetched.push(conversation);
        const summary = this.summaries.get(conversation);
        if (summary !== undefined) return Promise.resolve(summary);
        return Promise.reject(new ServerError({ code: "not_member", message: "no", retryable: false }));
      },
    });
  }

  override ask(command: Command): Promise<never> {
    if (command.do === "conversations") return Promise.resolve(this.pages.shift() as never);
    return Promise.resolve(null as never);
  }

  ready(conversations: Summary[], next?: string): void {
    const limits = {} as never;
    this.hub.emit("ready", { user: this.user, limits, conversations, ...(next && { next }) });
  }

  async tell(conversation: string, ...messages: Message[]): Promise<void> {
    await this.store.write([{ put: "messages", conversation, messages }]);
    this.hub.emit("messages", { conversation, messages, live: true });
  }

  entry(conversation: string) {
    return this.conversations.get(conversation);
  }
}

const summary = (conversation: string, rest: Partial<Summary> = {}): Summary => ({
  conversation,
  head: 0,
  unread: 0,
  cursor: { delivered: 0, read: 0 },
  ...(conversation === DM && { peer: { id: OTHER, name: "Bob" } }),
  ...(conversation.startsWith("group.") && { title: "Climbing", role: "member" as const, member_count: 3 }),
  ...rest,
});
const last = (seq: number): Summary["last_message"] => ({
  seq,
  id: `id-${seq}`,
  sender: OTHER,
  sent_at: seq * 1_000,
  kind: "text",
  text: `text ${seq}`,
});

let world: ListWorld;

beforeEach(() => {
  world = new ListWorld();
});

afterEach(async () => {
  vi.useRealTimers();
  await world.conversations.close();
});

const order = () => world.conversations.snapshot.map(({ conversation }) => conversation);

test("starts from what was kept, with drafts and what waits", () => {
  const outbox = [
    { id: "a", conversation: DM, order: 1, at: 1, content: { kind: "text", text: "x" } as const },
    {
      id: "b",
      conversation: DM,
      order: 2,
      at: 1,
      content: { kind: "text", text: "x" } as const,
      failed: { code: "not_member", message: "no", retryable: false } as const,
    },
  ];
  world.conversations.open({
    outbox,
    cursors: new Map(),
    summaries: [summary(DM, { unread: 2 }), summary(GROUP, { unread: 3, mute: { mentions: true } })],
    drafts: new Map([[GROUP, "begun"]]),
  });
  expect(world.entry(DM)).toMatchObject({ waiting: 1, failed: 1, draft: "" });
  expect(world.entry(GROUP)).toMatchObject({ waiting: 0, draft: "begun" });
  expect(world.conversations.unread).toBe(2);
  expect(world.peopleModel.profile(OTHER)?.name).toBe("Bob");
});

test("the most recent comes first, and unchanged entries are the same objects", async () => {
  world.ready([
    summary(GROUP, { head: 5, last_message: last(5)! }),
    summary(DM, { head: 2, last_message: last(2)! }),
  ]);
  expect(order()).toEqual([GROUP, DM]);
  const before = world.entry(GROUP);
  await world.tell(DM, text(6, { prev: 2 }));
  expect(order()).toEqual([DM, GROUP]);
  expect(world.entry(DM)!.summary).toMatchObject({ head: 6, unread: 1, last_message: { text: "text 6" } });
  expect(world.entry(GROUP)).toBe(before);
});

describe("unread", () => {
  beforeEach(() => {
    world.ready([summary(DM)]);
  });

  test("counts texts of others, and nothing else", async () => {
    await world.tell(DM, text(1, { prev: 0 }), text(2, { sender: ME }), edit(3, 1), text(4), text(4));
    expect(world.entry(DM)!.summary.unread).toBe(2);
  });

  test("falls as one reads, also in part, and by a deletion", async () => {
    await world.tell(DM, text(1, { prev: 0 }), text(2), text(3), text(4, { sender: ME }), text(5));
    world.conversations.read(DM, 2);
    await until(() => world.entry(DM)!.summary.unread === 2);
    await world.tell(DM, deletion(6, 3));
    await until(() => world.entry(DM)!.summary.unread === 1);
    world.hub.emit("receipts", { conversation: DM, cursors: [{ user: ME, delivered: 6, read: 6 }] });
    expect(world.entry(DM)!.summary.unread).toBe(0);
    expect(world.fetched).toEqual([]);
  });

  test("is the server's where not everything is kept", async () => {
    await world.tell(DM, text(10, { prev: 8 }), text(12, { prev: 10 }));
    world.summaries.set(DM, summary(DM, { head: 12, unread: 7, cursor: { delivered: 5, read: 5 } }));
    world.conversations.read(DM, 5);
    await until(() => world.entry(DM)!.summary.unread === 7);
    expect(world.fetched).toEqual([DM]);
  });
});

test("a preview follows edits and deletions by those who may", async () => {
  world.ready([summary(DM)]);
  const preview = () => world.entry(DM)!.summary.last_message;
  await world.tell(DM, text(1, { prev: 0 }));
  await world.tell(DM, edit(2, 1, { sender: ME }), deletion(3, 1, { sender: ME }));
  expect(preview()).toMatchObject({ seq: 1, text: "text 1" });
  await world.tell(DM, edit(4, 1, { text: "x".repeat(300) }));
  expect(preview()?.text).toBe("x".repeat(200));
  await world.tell(DM, deletion(5, 1));
  expect(preview()).toMatchObject({ seq: 1 });
  expect(preview()).not.toHaveProperty("text");
});

describe("groups", () => {
  const log = (seq: number, what: GroupEvent) => event(seq, what, { conversation: LOG });

  test("come when one joins and go when one leaves", async () => {
    world.ready([summary(DM)]);
    world.summaries.set(GROUP, summary(GROUP, { head: 3 }));
    const group = GROUP.slice("group.".length);
    await world.tell(LOG, log(1, { type: "joined", group }));
    await until(() => world.entry(GROUP) !== undefined);
    await world.tell(LOG, log(2, { type: "left", group }));
    expect(world.entry(GROUP)).toBeUndefined();
    expect(world.entry(LOG)).toBeUndefined();
  });

  test("change title, role and size by what happens in them", async () => {
    world.ready([summary(GROUP)]);
    await world.tell(
      GROUP,
      event(1, { type: "renamed", title: "Sundays" }),
      event(2, { type: "member_added", user: "new", role: "member" }),
      event(3, { type: "member_added", user: "newer", role: "member" }),
      event(4, { type: "member_removed", user: "new" }),
      event(5, { type: "role_changed", user: ME, role: "admin" }),
      event(6, { type: "role_changed", user: OTHER, role: "owner" }),
    );
    expect(world.entry(GROUP)!.summary).toMatchObject({ title: "Sundays", member_count: 4, role: "admin" });
  });

  test("which a whole list does not name are gone", () => {
    world.conversations.open({
      outbox: [],
      cursors: new Map(),
      summaries: [summary(GROUP), summary(DM)],
      drafts: new Map(),
    });
    world.ready([summary(DM)], "more");
    expect(order()).toHaveLength(2);
    world.ready([summary(DM)]);
    expect(order()).toEqual([DM]);
  });
});

test("an older telling of the server does not undo what was heard", async () => {
  world.ready([summary(DM)]);
  await world.tell(DM, text(1, { prev: 0 }), text(2));
  world.conversations.told([
    summary(DM, { head: 1, unread: 1, last_message: last(1)!, mute: { mentions: false } }),
  ]);
  expect(world.entry(DM)!.summary).toMatchObject({ head: 2, unread: 2, last_message: { seq: 2 }, mute: {} });
});

test("a first message makes a conversation, which stays while it waits", async () => {
  world.ready([]);
  const entry = { id: "a", conversation: DM, order: 1, at: 5, content: { kind: "text", text: "x" } as const };
  world.hub.emit("outbox", { entry });
  expect(world.entry(DM)).toMatchObject({ waiting: 1, summary: { head: 0 } });
  await until(() => world.fetched.length === 1);
  await new Promise((resolve) => setImmediate(resolve));
  expect(world.entry(DM)).toBeDefined();
  world.hub.emit("outbox", { entry, done: { seq: 1 } });
  expect(world.entry(DM)).toMatchObject({ waiting: 0 });
});

test("who writes is shown until they stop or have written", async () => {
  world.ready([summary(DM)]);
  const typing = (active: boolean, user = OTHER) =>
    world.hub.emit("typing", { conversation: DM, user, active });
  typing(true);
  typing(true, ME);
  expect(world.entry(DM)!.typing).toEqual([OTHER]);
  typing(false);
  expect(world.entry(DM)!.typing).toEqual([]);
  typing(true);
  await world.tell(DM, text(1, { prev: 0 }));
  expect(world.entry(DM)!.typing).toEqual([]);
  // The tab that would have told that he stopped is gone.
  const goings = [
    () => world.hub.emit("leader", { leader: true }),
    () => world.hub.emit("connection", { state: "connecting" }),
    () => world.hub.emit("connection", { state: "stopped", reason: "refused" }),
    () => world.ready([summary(DM)]),
  ];
  for (const goes of goings) {
    typing(true);
    expect(world.entry(DM)!.typing).toEqual([OTHER]);
    goes();
    expect(world.entry(DM)!.typing, String(goes)).toEqual([]);
  }
});

test("pages bring the older ones", async () => {
  world.ready([summary(DM, { head: 9, last_message: last(9)! })], "p2");
  expect(world.conversations.more).toBe(true);
  world.pages = [{ conversations: [summary(GROUP, { head: 3, last_message: last(3)! })] }];
  await Promise.all([world.conversations.loadMore(), world.conversations.loadMore()]);
  expect(order()).toEqual([DM, GROUP]);
  expect(world.conversations.more).toBe(false);
});

test("summaries are kept, a moment later", async () => {
  vi.useFakeTimers();
  world.ready([summary(DM)]);
  await world.tell(DM, text(1, { prev: 0 }));
  await vi.advanceTimersByTimeAsync(1_000);
  expect((await world.store.open()).summaries).toMatchObject([{ conversation: DM, head: 1, unread: 1 }]);
});

test("counts are those of a server, after any walk", async () => {
  const step = fc.record({
    kind: fc.constantFrom("text", "mine", "edit", "delete", "read"),
    at: fc.integer({ min: 1, max: 40 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      world = new ListWorld();
      world.ready([summary(DM)]);
      let head = 0;
      let read = 0;
      const unread = new Set<number>();
      for (const { kind, at } of steps) {
        const seq = head + 1;
        const target = Math.min(at, head);
        if (kind === "read") {
          read = Math.max(read, target);
          world.conversations.read(DM, target);
          continue;
        }
        if (kind === "text") await world.tell(DM, text(seq));
        if (kind === "mine") await world.tell(DM, text(seq, { sender: ME }));
        if (kind === "edit") await world.tell(DM, edit(seq, target));
        if (kind === "delete") await world.tell(DM, deletion(seq, target));
        if (kind === "text") unread.add(seq);
        if (kind === "delete") unread.delete(target);
        head = seq;
      }
      const expected = [...unread].filter((seq) => seq > read).length;
      await until(() => world.entry(DM)!.summary.unread === expected);
      expect(world.fetched).toEqual([]);
      await world.conversations.close();
    }),
    { numRuns: 60 },
  );
});

test("many reads are few counts, and the last one is right", async () => {
  vi.useFakeTimers();
  world.ready([summary(DM, { head: 0 })]);
  const messages = Array.from({ length: 200 }, (_, index) => text(index + 1, { prev: index }));
  await world.tell(DM, ...messages);
  const asked = vi.spyOn(world.store, "messages");
  for (let seq = 1; seq <= 150; seq += 1) {
    world.conversations.read(DM, seq);
    await vi.advanceTimersByTimeAsync(4);
  }
  await vi.advanceTimersByTimeAsync(1_000);
  expect(asked.mock.calls.length).toBeLessThan(10);
  expect(asked.mock.calls.every(([, query]) => query.unseen)).toBe(true);
  expect(world.entry(DM)?.summary.unread).toBe(50);
});

test("a message of a kind that is not known yet counts as the head", async () => {
  world.ready([summary(DM, { head: 1, last_message: last(1)! })]);
  await world.tell(DM, { ...text(2), kind: "poll" } as never);
  expect(world.entry(DM)?.summary).toMatchObject({ head: 2, unread: 0, last_message: { seq: 1 } });
});

test("an entry names its last unsent text", async () => {
  world.ready([summary(DM, { head: 1, last_message: last(1)! })]);
  const base = { conversation: DM, at: 5 } as const;
  const put = (id: string, order: number, content: OutboxEntry["content"]) =>
    world.hub.emit("outbox", { entry: { ...base, id, order, content } });
  put("a", 1, { kind: "text", text: "first" });
  put("b", 2, { kind: "text", text: "second" });
  put("c", 3, { kind: "edit", target: 1, text: "better" });
  expect(world.entry(DM)).toMatchObject({ waiting: 3, unsent: { text: "second", at: 5 } });
  for (const [id, order] of [
    ["b", 2],
    ["a", 1],
  ] as const) {
    const content = { kind: "text", text: id } as const;
    world.hub.emit("outbox", { entry: { ...base, id, order, content }, done: { seq: 9 } });
  }
  expect(world.entry(DM)).not.toHaveProperty("unsent");
});

test("an empty list is known to be empty once the server was heard", () => {
  Object.assign(world, { user: undefined });
  const nothing = { outbox: [], cursors: new Map(), summaries: [], drafts: new Map() };
  world.conversations.open(nothing);
  expect(world.conversations.loaded).toBe(false);
  world.hub.emit("ready", { user: { id: ME, name: "Ann" }, limits: {} as never, conversations: [] });
  expect(world.conversations.loaded).toBe(true);
});

/** Tabs that share one connection: who leads, what is told, and what happens when the leader goes or sleeps. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import type { Command, Emit, Engine } from "../../src/engine/engine.js";
import { ServerError, StoppedError } from "../../src/errors.js";
import type { ClientEvents, Connection, OutboxEntry } from "../../src/events.js";
import { MemoryStore } from "../../src/store/memory.js";
import type { Heard } from "../../src/tabs/heard.js";
import { SharedSeat } from "../../src/tabs/shared.js";
import type { Note } from "../../src/tabs/seat.js";
import type { Message } from "../../src/wire.js";
import { DM, OTHER, text, texts } from "../store/messages.js";
import { Origin, type Tab } from "./browser.js";

/** What all engines of one test have in common: a store and a record. */
class World {
  readonly origin = new Origin();
  readonly outbox = new Map<string, OutboxEntry>();
  readonly store = new MemoryStore();
  readonly engines: FakeEngine[] = [];

  get live(): FakeEngine[] {
    return this.engines.filter((engine) => !engine.stopped);
  }

  async tab(): Promise<Member> {
    const member = new Member(this, this.origin.tab());
    await Promise.all([member.seat.start(), vi.advanceTimersByTimeAsync(10)]);
    return member;
  }
}

class FakeEngine implements Engine {
  connection: Connection = { state: "online" };
  readonly asked: Command[] = [];
  readonly emit: Emit;
  stopped = false;
  /** Commands that are answered only when the test says so. */
  held: (() => void)[] | undefined;
  readonly #world: World;

  constructor(world: World, emit: Emit) {
    this.#world = world;
    this.emit = emit;
    world.engines.push(this);
  }

  async ask(command: Command): Promise<never> {
    this.asked.push(command);
    if (this.held !== undefined) await new Promise<void>((resolve) => this.held!.push(resolve));
    if (this.stopped) throw new StoppedError("stopped");
    if (command.do === "history") {
      throw new ServerError({ code: "not_member", message: "you are not in it", retryable: false });
    }
    if (command.do === "conversations") return { conversations: [] } as never;
    if (command.do !== "enqueue") return null as never;
    const id = command.id!;
    const entry = { id, conversation: command.conversation, order: this.#world.outbox.size, at: 0 };
    const known = this.#world.outbox.get(id) ?? { ...entry, content: command.content };
    this.#world.outbox.set(id, known);
    return known as never;
  }

  outbox(): Promise<OutboxEntry[]> {
    return Promise.resolve([...this.#world.outbox.values()]);
  }

  stop(): Promise<void> {
    this.stopped = true;
    this.emit("connection", { state: "stopped", reason: "stopped" });
    for (const answer of this.held ?? []) answer();
    return Promise.resolve();
  }
}

class Member {
  readonly events: { [K in keyof ClientEvents]: { type: K; event: ClientEvents[K] } }[keyof ClientEvents][] =
    [];
  readonly notes: Note[] = [];
  readonly seat: SharedSeat;
  readonly tab: Tab;

  constructor(world: World, tab: Tab) {
    this.tab = tab;
    const make = async (emit: Emit, heard: Heard) => {
      const { cursors } = await world.store.open();
      for await (const missed of heard.missed(world.store, cursors)) emit("messages", missed);
      return new FakeEngine(world, emit);
    };
    this.seat = new SharedSeat("user", tab, make, {
      emit: (type, event) => this.events.push({ type, event } as never),
      note: (note) => this.notes.push(note),
    });
  }

  heard<K extends keyof ClientEvents>(type: K): ClientEvents[K][] {
    return this.events.filter((event) => event.type === type).map(({ event }) => event as ClientEvents[K]);
  }
}

let world: World;

beforeEach(() => {
  vi.useFakeTimers();
  world = new World();
});

afterEach(() => {
  vi.useRealTimers();
});

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const send = (id?: string) =>
  ({ do: "enqueue", conversation: DM, content: { kind: "text", text: "hello" }, ...(id && { id }) }) as const;

test("one tab leads, and all hear what happens", async () => {
  const [first, second] = [await world.tab(), await world.tab()];
  expect([first.seat.leader, second.seat.leader]).toEqual([true, false]);
  expect(world.engines).toHaveLength(1);
  expect(second.seat.connection).toEqual({ state: "online" });
  world.engines[0]!.emit("messages", { conversation: DM, messages: [text(1)], live: true });
  await pass(10);
  for (const tab of [first, second]) expect(tab.heard("messages")).toHaveLength(1);
});

test("the others ask the leader, and get its answers and its errors", async () => {
  const [, second] = [await world.tab(), await world.tab()];
  const sent = second.seat.ask(send());
  await pass(10);
  const entry = await sent;
  expect(entry).toMatchObject({ conversation: DM, content: { text: "hello" } });
  expect(entry.id).toMatch(/^[0-9a-f-]{36}$/);
  expect(await second.seat.outbox()).toEqual([entry]);
  const refused = second.seat.ask({ do: "history", conversation: DM, anchor: {} });
  await expect(refused).rejects.toMatchObject({ name: "ServerError", code: "not_member", retryable: false });
});

test("a tab that comes later learns who one is, and the list as it is now", async () => {
  const first = await world.tab();
  const session = { user: { id: OTHER, name: "Bob" }, limits: { text_chars_max: 9 } as never };
  world.engines[0]!.emit("ready", { ...session, conversations: [] });
  await pass(10);
  expect(first.heard("ready")).toHaveLength(1);
  const second = await world.tab();
  await pass(10);
  expect(second.heard("ready")).toMatchObject([session]);
  expect(world.engines[0]!.asked.map((command) => command.do)).toContain("conversations");
});

test("when the leader is gone, another takes over with its own questions and its own place", async () => {
  const [first, second, third] = [await world.tab(), await world.tab(), await world.tab()];
  await Promise.all([
    second.seat.ask({ do: "watch", tab: "", users: [OTHER] }),
    third.seat.ask({ do: "active", tab: "", active: true }),
    pass(10),
  ]);
  world.engines[0]!.held = [];
  const unanswered = [second.seat.ask(send("from-second")), third.seat.ask(send("from-third"))];
  await pass(10);
  world.origin.kill(first.tab);
  await pass(100);
  expect((await Promise.all(unanswered)).map(({ id }) => id)).toEqual(["from-second", "from-third"]);
  expect(second.seat.leader).toBe(true);
  const engine = world.engines[1]!;
  expect(engine.asked).toContainEqual(expect.objectContaining({ do: "watch", users: [OTHER] }));
  expect(engine.asked).toContainEqual(expect.objectContaining({ do: "active", active: true }));
  engine.emit("messages", { conversation: DM, messages: [text(1)], live: true });
  await pass(10);
  expect(third.heard("messages")).toHaveLength(1);
});

test("what the leader kept and could not tell is told by the next one, and nothing twice", async () => {
  const [first, second, third] = [await world.tab(), await world.tab(), await world.tab()];
  const keep = (messages: Message[]) =>
    world.store.write([
      { put: "messages", conversation: DM, messages },
      { put: "cursor", conversation: DM, seq: messages.at(-1)!.seq },
    ]);
  await keep(texts(1, 3));
  world.engines[0]!.emit("messages", { conversation: DM, messages: texts(1, 3), live: true });
  await pass(10);
  await keep(texts(4, 5));
  world.origin.kill(first.tab);
  await pass(100);
  // The one that was robbed may say it too.
  world.engines[1]!.emit("messages", { conversation: DM, messages: texts(5, 6), live: false });
  await pass(10);
  for (const tab of [second, third]) {
    const heard = tab.heard("messages").flatMap(({ messages }) => messages.map(({ seq }) => seq));
    expect(heard).toEqual([1, 2, 3, 4, 5, 6]);
  }
});

test("a leader that closes says nothing of its own end", async () => {
  const [first, second] = [await world.tab(), await world.tab()];
  await Promise.all([first.seat.stop(), pass(100)]);
  expect(second.seat.leader).toBe(true);
  expect(second.heard("connection").map(({ state }) => state)).not.toContain("stopped");
  expect(first.heard("connection").at(-1)).toMatchObject({ state: "stopped" });
  expect(world.live).toHaveLength(1);
});

test("a tab that is gone is forgotten", async () => {
  const [, second] = [await world.tab(), await world.tab()];
  await Promise.all([second.seat.ask({ do: "active", tab: "", active: true }), pass(10)]);
  const { tab } = world.engines[0]!.asked.find((command) => command.do === "active") as { tab: string };
  world.origin.kill(second.tab);
  await pass(10);
  expect(world.engines[0]!.asked).toContainEqual({ do: "leave", tab });
});

test("a tab in sight takes the lead from one that sleeps, which finds out when it wakes", async () => {
  const [first, second] = [await world.tab(), await world.tab()];
  first.tab.frozen = true;
  const sent = second.seat.ask(send("a"));
  await pass(6_000);
  expect(await sent).toMatchObject({ id: "a" });
  expect(second.seat.leader).toBe(true);
  first.tab.frozen = false;
  await pass(100);
  expect(first.seat.leader).toBe(false);
  expect(world.live).toHaveLength(1);
  // And follows from now on.
  world.live[0]!.emit("messages", { conversation: DM, messages: [text(1)], live: true });
  await pass(10);
  expect(first.heard("messages")).toHaveLength(1);
  expect(first.heard("leader")).toEqual([{ leader: true }, { leader: false }]);
});

test("also when it asks nothing", async () => {
  const [first, second] = [await world.tab(), await world.tab()];
  first.tab.frozen = true;
  await pass(20_000);
  expect(second.seat.leader).toBe(true);
});

test("what the one that slept had taken is handed to the one that took over", async () => {
  const [first, second] = [await world.tab(), await world.tab()];
  const entry = { conversation: DM, order: 1, at: 0, content: { kind: "text", text: "late" } } as const;
  const failed = { code: "forbidden", message: "no", retryable: false } as const;
  const entries = [
    { ...entry, id: "late" },
    { ...entry, id: "failed", failed },
  ];
  world.engines[0]!.outbox = () => Promise.resolve(entries);
  first.tab.frozen = true;
  await pass(20_000);
  expect(second.seat.leader).toBe(true);
  first.tab.frozen = false;
  await pass(20_000);
  const { conversation, content } = entry;
  expect(world.engines[1]!.asked.filter((command) => command.do === "enqueue")).toEqual([
    { do: "enqueue", id: "late", conversation, content },
  ]);
});

test("a leader whose connection ended for good lets a new tab try", async () => {
  const first = await world.tab();
  const ended = { state: "stopped", reason: "too_many_connections" } as const;
  world.engines[0]!.connection = ended;
  world.engines[0]!.emit("connection", ended);
  const second = await world.tab();
  await pass(100);
  expect([first.seat.leader, second.seat.leader]).toEqual([false, true]);
  expect([first.seat.connection, second.seat.connection]).toEqual([{ state: "online" }, { state: "online" }]);
  expect(world.live).toHaveLength(1);
});

test("and those that are there already ask for nothing anew", async () => {
  const [first, second] = [await world.tab(), await world.tab()];
  world.engines[0]!.connection = { state: "stopped", reason: "refused" };
  await pass(60_000);
  expect([first.seat.leader, second.seat.leader]).toEqual([true, false]);
  expect(world.engines).toHaveLength(1);
});

test("a tab that nobody looks at leaves it asleep", async () => {
  const [first, second] = [await world.tab(), await world.tab()];
  first.tab.frozen = true;
  second.tab.shown = false;
  const sent = second.seat.ask(send("a"));
  await pass(60_000);
  expect(second.seat.leader).toBe(false);
  second.tab.shown = true;
  await pass(5_000);
  expect(second.seat.leader).toBe(true);
  expect(await sent).toMatchObject({ id: "a" });
});

test("a slow answer is no sleep", async () => {
  const [first, second] = [await world.tab(), await world.tab()];
  world.engines[0]!.held = [];
  const sent = second.seat.ask(send("a"));
  await pass(60_000);
  expect(first.seat.leader).toBe(true);
  expect(world.engines[0]!.asked.filter((command) => command.do === "enqueue")).toHaveLength(1);
  for (const answer of world.engines[0]!.held) answer();
  await pass(10);
  expect(await sent).toMatchObject({ id: "a" });
});

test("who begins to watch hears what is known already", async () => {
  const [, second] = [await world.tab(), await world.tab()];
  world.engines[0]!.emit("presence", { users: [{ user: OTHER, state: "online" }] });
  await Promise.all([second.seat.ask({ do: "watch", tab: "", users: [OTHER] }), pass(10)]);
  expect(second.heard("presence").at(-1)).toEqual({ users: [{ user: OTHER, state: "online" }] });
});

test("notes reach the other tabs", async () => {
  const [first, second] = [await world.tab(), await world.tab()];
  const note = { note: "draft", conversation: DM, text: "begun" } as const;
  first.seat.tell(note);
  await pass(10);
  expect([first.notes, second.notes]).toEqual([[], [note]]);
});

test("after the end nothing is answered", async () => {
  const [first, second] = [await world.tab(), await world.tab()];
  world.engines[0]!.held = [];
  const open = second.seat.ask(send("a"));
  open.catch(() => undefined);
  await Promise.all([second.seat.stop(), first.seat.stop(), pass(100)]);
  await expect(open).rejects.toThrow(StoppedError);
  await expect(first.seat.ask(send("b"))).rejects.toThrow(StoppedError);
  expect(world.live).toEqual([]);
});

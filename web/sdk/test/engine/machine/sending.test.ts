/** What is written: kept before it is shown or sent, first in first out, retried under its id, refused for good. */
import { describe, expect, test } from "vitest";
import type { OutboxEntry, WireError } from "../../../src/index.js";
import { ME, PEER } from "./sim-server.js";
import { World } from "./world.js";

const G = "group.g";
const FOR_GOOD: WireError = { code: "forbidden", message: "no", retryable: false };

function online(): World {
  const world = new World();
  world.start();
  world.pass(100);
  return world;
}

/** An entry that the server has and does not answer, with its echo lost. */
function unanswered(world: World): string {
  Object.assign(world.server.faults, { losesAcks: true, losesTail: true });
  world.send(G);
  world.pass(50);
  return world.said("send").at(-1)!.id;
}

/** An entry that the server refused. */
function refused(world: World): OutboxEntry {
  const id = unanswered(world);
  world.hear({ type: "error", id, ...FOR_GOOD });
  world.pass(10);
  Object.assign(world.server.faults, { losesAcks: false, losesTail: false });
  return world.machine.outbox().find((entry) => entry.id === id)!;
}

describe("on its way", () => {
  test("kept first, then shown, answered and sent", () => {
    const world = online();
    world.writeMs = 500;
    const ticket = world.send(G);
    world.pass(499);
    expect(world.said("send")).toEqual([]);
    expect(world.told("outbox")).toEqual([]);
    expect(world.answers.has(ticket)).toBe(false);
    world.pass(20);
    expect(world.kept.outbox.size).toBe(1);
    expect(world.told("outbox")).toHaveLength(1);
    expect(world.answers.get(ticket)).toMatchObject({ id: "own-1", order: 1 });
    expect(world.said("send")).toHaveLength(1);
  });

  test("written before the connection, over a restart, sent in order with one of a conversation at a time", () => {
    const world = new World();
    for (const text of ["one", "two", "three"]) world.send(G, text);
    world.ask({ do: "enqueue", conversation: G, content: { kind: "edit", target: 1, text: "new" } });
    world.pass(50);
    world.restart();
    world.server.faults.overloaded = true;
    world.pass(1_000);
    expect(new Set(world.said("send").map((frame) => frame.text))).toEqual(new Set(["one"]));
    world.server.faults.overloaded = false;
    world.pass(5_000);
    const stored = world.server.logs.get(G)!.map((message) => "text" in message && message.text);
    expect(stored).toEqual(["one", "two", "three", "new"]);
    expect(world.said("edit")).toHaveLength(1);
    expect(world.kept.outbox.size).toBe(0);
  });

  test("no more in flight than the server allows", () => {
    const world = online();
    Object.assign(world.server.faults, { losesAcks: true, losesTail: true });
    for (let group = 0; group < 10; group += 1) world.send(`group.${group}`);
    world.pass(1_000);
    expect(world.said("send")).toHaveLength(4);
  });

  test("an ack that is lost is asked for again, under the same id", () => {
    const world = online();
    const id = unanswered(world);
    // The server is there: it answers pings, so that the connection is kept.
    world.pass(29_000);
    world.server.faults.losesAcks = false;
    world.pass(2_000);
    expect(world.connects).toHaveLength(1);
    expect(world.said("send").map((frame) => frame.id)).toEqual([id, id]);
    expect(world.told("outbox").at(-1)).toMatchObject({ entry: { id }, done: { seq: world.server.head(G) } });
  });

  test("one's own message that comes is as good as its ack, and takes it from the outbox in one write", () => {
    const world = online();
    const id = unanswered(world);
    world.server.faults.losesTail = false;
    world.cut();
    const { writes } = world.kept;
    world.pass(400);
    expect(world.told("outbox").at(-1)).toMatchObject({ entry: { id }, done: { seq: world.server.head(G) } });
    expect(world.told("messages").at(-1)!.messages[0]).toMatchObject({ id, sender: ME });
    expect(world.kept.writes - writes).toBeLessThanOrEqual(2);
    expect(world.kept.outbox.size).toBe(0);
  });

  test("half a surrogate pair is no text; an empty text and U+0000 are refused at once", () => {
    const world = online();
    world.send(G, "a\ud83e");
    world.pass(50);
    expect(world.said("send")[0]!.text).toBe("a\ufffd");
    for (const text of ["", "a\0"]) expect(world.rejected.get(world.send(G, text))?.name).toBe("UsageError");
  });

  test("said twice by a tab that heard no answer, it is one message", () => {
    const world = online();
    const content = { kind: "text" as const, text: "one" };
    const tickets = [1, 2].map(() => world.ask({ do: "enqueue", conversation: G, content, id: "x" }));
    const other = world.ask({
      do: "enqueue",
      conversation: G,
      content: { ...content, text: "two" },
      id: "x",
    });
    world.pass(100);
    for (const ticket of tickets) expect(world.answers.get(ticket)).toMatchObject({ id: "x" });
    expect(world.rejected.get(other)).toMatchObject({ code: "conflict" });
    expect(world.server.logs.get(G)).toHaveLength(1);
  });
});

describe("handed over by a tab that led before", () => {
  const content = { kind: "text" as const, text: "one" };
  const handOver = (world: World) => world.ask({ do: "enqueue", conversation: G, content, id: "x" });
  const entry: OutboxEntry = { id: "x", conversation: G, order: 1, at: 0, content };

  test("what is on disk already is not sent again, and goes from the store for good", () => {
    const world = online();
    handOver(world);
    world.pass(100);
    // Late, from the other tab.
    world.kept.outbox.set("x", entry);
    const ticket = handOver(world);
    world.pass(100);
    expect(world.answers.get(ticket)).toMatchObject({ id: "x" });
    expect(world.told("outbox").at(-1)).toMatchObject({ done: { seq: world.server.head(G) } });
    expect(world.server.sent.get("x")).toMatchObject({ times: 1 });
    expect(world.kept.outbox.size).toBe(0);
  });

  test("with another content it is for the server to refuse", () => {
    const world = online();
    handOver(world);
    world.pass(100);
    world.ask({ do: "enqueue", conversation: G, content: { ...content, text: "two" }, id: "x" });
    world.pass(100);
    expect(world.server.sent.get("x")).toMatchObject({ times: 2 });
  });

  test("what was discarded stays so", () => {
    const world = new World();
    handOver(world);
    world.pass(10);
    world.ask({ do: "discard", id: "x" });
    world.pass(10);
    world.kept.outbox.set("x", entry);
    handOver(world);
    world.start();
    world.pass(1_000);
    expect(world.state).toBe("online");
    expect(world.said("send")).toEqual([]);
    expect(world.told("outbox").at(-1)).toMatchObject({ done: "discarded" });
    expect(world.kept.outbox.size).toBe(0);
  });
});

describe("refused for good", () => {
  test("it waits for the person, over a restart too; what follows goes on", () => {
    const world = online();
    const { id } = refused(world);
    expect(world.told("outbox").at(-1)).toMatchObject({ entry: { id, failed: { code: "forbidden" } } });
    world.send(G, "next");
    world.pass(200);
    expect(world.server.logs.get(G)).toHaveLength(2);
    world.restart();
    world.pass(1_000);
    expect(world.machine.outbox()).toMatchObject([{ id, failed: { code: "forbidden" } }]);
    expect(world.server.sent.get(id)!.times).toBe(1);
  });

  test("again: a new message with a new id, at the end of the line", () => {
    const world = online();
    const { id } = refused(world);
    const ticket = world.ask({ do: "retry", id });
    world.pass(200);
    const again = world.answers.get(ticket) as OutboxEntry;
    expect(again.id).not.toBe(id);
    expect(again.failed).toBeUndefined();
    expect(world.told("outbox")).toContainEqual(expect.objectContaining({ done: "discarded" }));
    expect(world.machine.outbox()).toEqual([]);
    expect(world.kept.outbox.size).toBe(0);
  });

  test("again, and the page closes at any moment: the text is in the store", () => {
    for (let ms = 0; ms < 8; ms += 1) {
      const world = online();
      refused(world);
      world.input({ type: "network", online: false });
      world.pass(50);
      world.ask({ do: "retry", id: world.machine.outbox()[0]!.id });
      world.pass(ms);
      expect(
        [...world.kept.outbox.values()].map(({ content }) => content),
        `after ${ms} ms`,
      ).toMatchObject([{ text: "text" }]);
    }
  });

  test("discarded, it is gone from the store", () => {
    const world = online();
    const { id } = refused(world);
    const ticket = world.ask({ do: "discard", id });
    world.pass(10);
    expect(world.answers.get(ticket)).toBeNull();
    expect(world.machine.outbox()).toEqual([]);
    expect(world.kept.outbox.size).toBe(0);
    expect(world.rejected.get(world.ask({ do: "retry", id }))?.name).toBe("UsageError");
  });

  test("a text beyond the server's limit never leaves: it would end the session", () => {
    const world = new World();
    world.send(G, "🦎".repeat(101));
    world.send(G, "🦎".repeat(100));
    world.start();
    world.pass(200);
    expect(world.said("send")).toHaveLength(1);
    expect(world.machine.outbox()).toMatchObject([{ failed: { code: "text_too_long" } }]);
  });
});

describe("receipts", () => {
  test("what is stored is confirmed as delivered, gathered, and one's own is not", () => {
    const world = online();
    for (let count = 0; count < 30; count += 1) world.server.post(G);
    world.send("group.h");
    world.pass(600);
    expect(world.said("receipt").length).toBeLessThanOrEqual(2);
    expect(world.server.delivered.get(G)).toBe(world.server.head(G));
    expect(world.server.delivered.has("group.h")).toBe(false);
  });

  test("nothing is confirmed before the store has it", () => {
    const world = online();
    world.writeMs = 5_000;
    world.server.post(G);
    world.pass(4_000);
    expect(world.said("receipt")).toEqual([]);
    expect(world.told("messages")).toEqual([]);
    world.pass(2_000);
    expect(world.said("receipt")).toHaveLength(1);
  });

  test("what was read offline is told after a restart, once, and only rises", () => {
    const world = online();
    world.server.post(G);
    world.server.post(G);
    world.pass(300);
    const [first, second] = world.seqs(G) as [number, number];
    world.input({ type: "network", online: false });
    world.ask({ do: "read", conversation: G, seq: second });
    world.ask({ do: "read", conversation: G, seq: first });
    world.pass(10);
    world.restart();
    world.pass(1_000);
    expect(world.server.read.get(G)).toBe(second);
    world.pass(10_000);
    const told = world.said("receipt").filter((frame) => frame.read !== undefined).length;
    world.restart();
    world.pass(1_000);
    expect(world.said("receipt").filter((frame) => frame.read !== undefined)).toHaveLength(told);
  });

  test("a person who scrolls says it often, and it costs a few writes", () => {
    const world = online();
    const { writes } = world.kept;
    const tickets = Array.from({ length: 100 }, (_, n) => {
      world.pass(10);
      return world.ask({ do: "read", conversation: G, seq: n + 1 });
    });
    world.pass(1_000);
    expect(tickets.every((ticket) => world.answers.get(ticket) === null)).toBe(true);
    expect(world.kept.writes - writes).toBeLessThanOrEqual(12);
    expect(world.told("receipts").at(-1)!.cursors[0]!.read).toBe(100);
    expect(world.server.read.get(G)).toBe(100);
  });

  test("the client stops in the middle of it: what was read is kept and answered", () => {
    const world = online();
    world.ask({ do: "read", conversation: G, seq: 1 });
    const ticket = world.ask({ do: "read", conversation: G, seq: 2 });
    world.input({ type: "stop" });
    world.pass(10);
    expect(world.answers.get(ticket)).toBeNull();
    expect(world.kept.values.get("reads")).toEqual({ [G]: 2 });
  });

  test("one that left a moment before the connection broke goes again", () => {
    const world = online();
    world.server.post(G);
    world.pass(300);
    world.cut();
    world.pass(1_000);
    expect(world.said("receipt").map((frame) => frame.delivered)).toEqual([1, 1]);
  });

  test("one's own tabs hear of what was read", () => {
    const world = online();
    world.ask({ do: "read", conversation: G, seq: 7 });
    world.pass(10);
    expect(world.told("receipts")).toMatchObject([{ cursors: [{ user: ME, read: 7 }] }]);
  });

  test("beyond the end is the end, over a restart too", () => {
    const world = online();
    world.server.post(G);
    world.pass(300);
    const head = world.server.head(G);
    world.ask({ do: "read", conversation: G, seq: 1e15 });
    world.pass(1_000);
    expect(world.told("receipts").at(-1)).toMatchObject({ cursors: [{ read: head }] });
    expect(world.server.read.get(G)).toBe(head);
    world.server.post(G);
    world.restart();
    world.pass(1_000);
    world.ask({ do: "read", conversation: G, seq: 1e15 });
    world.pass(1_000);
    expect(world.server.read.get(G)).toBe(world.server.head(G));
  });

  test("asked whether it has a message, it says so again", () => {
    const world = online();
    world.server.post(G);
    world.pass(10_000);
    world.server.delivered.clear();
    world.server.nudge(G);
    world.pass(1_000);
    expect(world.server.delivered.get(G)).toBe(world.server.head(G));
    world.server.faults.losesTail = true;
    world.server.post(G, PEER);
    world.server.nudge(G);
    world.pass(1_000);
    expect(world.seqs(G)).toHaveLength(2);
    expect(world.server.delivered.get(G)).toBe(world.server.head(G));
  });
});

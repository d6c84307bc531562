/** What comes: batches, gaps, new devices, presence, typing, foreground. */
import { describe, expect, test } from "vitest";
import { Tabs } from "../../../src/engine/machine/around.js";
import type { Summary } from "../../../src/index.js";
import { PEER } from "./sim-server.js";
import { World } from "./world.js";

const G = "group.g";

function online(): World {
  const world = new World();
  world.start();
  world.pass(100);
  return world;
}

describe("messages", () => {
  test("50 a second cost at most 25 writes and events a second, and the first comes at once", () => {
    const world = online();
    world.server.post(G);
    world.pass(12);
    expect(world.told("messages")).toHaveLength(1);
    const { writes } = world.kept;
    for (let count = 0; count < 200; count += 1) {
      world.server.post(G);
      world.pass(20);
    }
    world.pass(100);
    expect(world.seqs(G)).toHaveLength(201);
    expect(world.told("messages").length).toBeLessThanOrEqual(105);
    expect(world.kept.writes - writes).toBeLessThanOrEqual(105);
  });

  test("what was missed is not live, and `resumed` comes after it", () => {
    const world = online();
    world.server.post(G);
    world.pass(100);
    world.cut();
    world.server.post(G);
    world.server.post("group.h");
    world.pass(1_000);
    expect(world.told("messages").map((event) => event.live)).toEqual([true, false, false]);
    const kinds = world.events.map((event) => event.type);
    expect(kinds.lastIndexOf("messages")).toBeLessThan(kinds.indexOf("resumed"));
    expect(world.said("hello").map((frame) => frame.resume)).toEqual([undefined, { [G]: 1 }]);
  });

  test("a gap is closed from history, page by page, and the order holds", () => {
    const world = online();
    world.server.post(G);
    world.pass(100);
    world.server.faults.losesTail = true;
    for (let count = 0; count < 12; count += 1) world.server.post(G);
    world.server.faults.losesTail = false;
    world.server.post(G);
    world.server.post(G);
    world.pass(1_000);
    expect(world.seqs(G)).toEqual(world.server.logs.get(G)!.map((message) => message.seq));
    expect(world.said("history").length).toBeGreaterThanOrEqual(3);
    expect(world.kept.cursors.get(G)).toBe(world.server.head(G));
  });

  test("a gap that history does not close is told, and what follows goes on", () => {
    const world = online();
    world.server.post(G);
    world.pass(100);
    const base = {
      type: "message" as const,
      conversation: G,
      id: "x",
      sender: PEER,
      sent_at: 0,
      kind: "text" as const,
    };
    world.hear({ ...base, seq: 900, prev: 800, text: "from a log that history does not know" });
    world.pass(200_000);
    expect(world.told("truncated")).toMatchObject([{ cursor: 1, head: 900 }]);
    // It may have been edited or deleted in the gap.
    expect([...world.kept.messages.get(G)!.keys()]).toEqual([]);
    world.hear({ ...base, id: "y", seq: 901, prev: 900, text: "next" });
    world.pass(100);
    expect(world.seqs(G)).toEqual([1, 901]);
  });

  test("a resume that did not look at all conversations is completed from the list", () => {
    const world = online();
    world.server.post(G);
    world.pass(100);
    world.server.faults.losesTail = true;
    world.server.post(G);
    world.hear({ type: "resumed", complete: false });
    world.pass(1_000);
    expect(world.seqs(G)).toHaveLength(2);
    expect(world.said("conversations")).toHaveLength(1);
  });

  test("a new device starts at the present; the next time it resumes", () => {
    const world = new World();
    for (let count = 0; count < 30; count += 1) world.server.post(G);
    world.start();
    world.pass(100);
    expect(world.seqs(G)).toEqual([]);
    expect(world.kept.cursors.get(G)).toBe(world.server.head(G));
    world.cut();
    world.server.post(G);
    world.restart();
    world.pass(1_000);
    expect(world.seqs(G)).toEqual([world.server.head(G)]);
    expect(world.said("receipt").every((frame) => frame.delivered === world.server.head(G))).toBe(true);
  });

  test("what an earlier run stored and did not confirm is confirmed", () => {
    const world = online();
    world.server.post(G);
    world.pass(30);
    expect(world.seqs(G)).toHaveLength(1);
    expect(world.said("receipt")).toHaveLength(0);
    world.restart();
    world.pass(1_000);
    expect(world.server.delivered.get(G)).toBe(1);
  });

  test("garbled answers end nothing: a page of another conversation is none", () => {
    const world = online();
    const ticket = world.ask({ do: "history", conversation: G, anchor: {} });
    const { id } = { id: "q1" };
    const page = { messages: [], head: 0, more_before: false, more_after: false };
    world.hear({ type: "history", id, conversation: "group.other", ...page });
    expect(world.answers.has(ticket)).toBe(false);
    world.pass(100);
    expect(world.answers.get(ticket)).toMatchObject({ conversation: G });
  });
});

describe("questions", () => {
  test("survive a reconnect, and end by their time", () => {
    const world = online();
    world.network.flowing = false;
    const ticket = world.ask({ do: "history", conversation: G, anchor: { before: 9 } });
    world.pass(1_000);
    world.cut();
    world.network.flowing = true;
    world.pass(1_000);
    expect(world.answers.get(ticket)).toMatchObject({ conversation: G });
    world.network.flowing = false;
    const late = world.ask({ do: "conversations" });
    world.pass(21_000);
    expect(world.rejected.get(late)?.name).toBe("UnreachableError");
  });

  test("an error is told as it is", () => {
    const world = online();
    const ticket = world.ask({ do: "history", conversation: G, anchor: {} });
    world.hear({ type: "error", id: "q1", code: "not_member", message: "no", retryable: false });
    expect(world.rejected.get(ticket)).toMatchObject({ name: "ServerError", code: "not_member" });
  });

  test("a page of the list is kept before it is answered", () => {
    const world = online();
    const summary: Summary = { conversation: G, head: 1, unread: 0, cursor: { delivered: 0, read: 0 } };
    const ticket = world.ask({ do: "conversations" });
    world.hear({ type: "conversations", id: "q1", conversations: [summary] });
    expect(world.answers.has(ticket)).toBe(false);
    world.pass(10);
    expect(world.answers.get(ticket)).toEqual({ conversations: [summary] });
  });
});

describe("around", () => {
  test("the people of all tabs are watched, at most four lists a second, again after each ready", () => {
    const world = online();
    world.ask({ do: "watch", tab: "1", users: ["b", "a"] });
    world.ask({ do: "watch", tab: "2", users: ["c", "a"] });
    world.pass(30);
    for (let count = 0; count < 50; count += 1) {
      world.ask({ do: "watch", tab: "1", users: [`u${count}`] });
      world.pass(20);
    }
    world.pass(1_000);
    const lists = world.said("watch").map((frame) => frame.users);
    expect(lists[0]).toEqual(["a", "b"]);
    expect(lists.length).toBeLessThanOrEqual(6);
    expect(lists.at(-1)).toEqual(["a", "c", "u49"]);
    world.cut();
    world.pass(1_000);
    expect(world.said("watch").at(-1)!.users).toEqual(["a", "c", "u49"]);
    expect(world.said("watch")).toHaveLength(lists.length + 1);
    world.ask({ do: "leave", tab: "1" });
    world.ask({ do: "leave", tab: "2" });
    world.pass(1_000);
    expect(world.said("watch").at(-1)!.users).toEqual([]);
  });

  test("the list of all tabs is made only when it changes", () => {
    const tabs = new Tabs();
    tabs.setWatched("1", ["b", "a"]);
    const { watched } = tabs;
    expect(watched).toEqual(["a", "b"]);
    tabs.setActive("1", true);
    tabs.setWatched("2", ["a"]);
    tabs.leave("2");
    expect(tabs.watched).toBe(watched);
    tabs.setWatched("2", ["c"]);
    expect(tabs.watched).toEqual(["a", "b", "c"]);
  });

  test("a list beyond the server's limit is cut", () => {
    const world = online();
    world.ask({ do: "watch", tab: "1", users: Array.from({ length: 50 }, (_, n) => `u${n}`) });
    world.pass(100);
    expect(world.said("watch")[0]!.users).toHaveLength(10);
  });

  test("the device is in the foreground while any tab is", () => {
    const world = new World();
    world.ask({ do: "active", tab: "1", active: true });
    world.start();
    world.pass(100);
    expect(world.said("hello")[0]!.active).toBe(true);
    world.ask({ do: "active", tab: "2", active: true });
    world.ask({ do: "active", tab: "1", active: false });
    world.pass(20);
    expect(world.said("active")).toEqual([]);
    world.ask({ do: "leave", tab: "2" });
    world.pass(20);
    expect(world.said("active").map((frame) => frame.active)).toEqual([false]);
  });

  test("typing is said with each key and sent every three seconds; and that one has stopped, once", () => {
    const world = online();
    for (let key = 0; key < 100; key += 1) {
      world.ask({ do: "typing", conversation: G, active: true });
      world.pass(70);
    }
    for (let count = 0; count < 3; count += 1) world.ask({ do: "typing", conversation: G, active: false });
    world.pass(20);
    expect(world.said("typing").map((frame) => frame.active)).toEqual([true, true, true, false]);
  });

  test("others are forgotten with the connection, and heard again on the next", () => {
    const world = online();
    const types = (): void => world.hear({ type: "typing", conversation: G, user: PEER, active: true });
    types();
    world.cut();
    world.pass(1_000);
    expect(world.state).toBe("online");
    types();
    world.pass(1);
    expect(world.told("typing").map((event) => event.active)).toEqual([true, false, true]);
  });

  test("others are forgotten six seconds after their last word, and when their message comes", () => {
    const world = online();
    const types = (): void => world.hear({ type: "typing", conversation: G, user: PEER, active: true });
    types();
    world.pass(4_000);
    types();
    world.pass(5_900);
    expect(world.told("typing").map((event) => event.active)).toEqual([true]);
    world.pass(200);
    expect(world.told("typing").map((event) => event.active)).toEqual([true, false]);
    types();
    world.server.post(G);
    world.pass(50);
    expect(world.told("typing").map((event) => event.active)).toEqual([true, false, true, false]);
  });
});

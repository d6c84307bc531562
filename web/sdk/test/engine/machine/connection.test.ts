/** The way to a connection and back to one: reasons, waits, tokens, silence, edges that drain. */
import { describe, expect, test } from "vitest";
import { World } from "./world.js";

/** A world with a connection. */
function online(random: () => number = () => 0.5): World {
  const world = new World(random);
  world.start();
  world.pass(100);
  expect(world.state).toBe("online");
  return world;
}

describe("close codes", () => {
  test.each([
    [1006, "unreachable"],
    [undefined, "unreachable"],
    [3001, "draining"],
    [3008, "slow"],
    [3012, "silent"],
    [3013, "unavailable"],
    [3499, "closed"],
    [4000, "unreachable"],
  ])("%s: comes back, because %s", (code, reason) => {
    const world = online();
    world.cut(code);
    expect(world.machine.connection).toMatchObject({ state: "waiting", reason });
    world.pass(30_000);
    expect(world.state).toBe("online");
  });

  test.each([
    [3501, "refused"],
    [3503, "revoked"],
    [3504, "too_many_connections"],
    [3999, "refused"],
  ])("%s: stops, because %s", (code, reason) => {
    const world = online();
    world.cut(code);
    expect(world.machine.connection).toMatchObject({ state: "stopped", reason });
    world.pass(100_000);
    expect(world.connects).toHaveLength(1);
  });

  test("after the end nothing is answered any more", () => {
    const world = online();
    const open = world.ask({ do: "history", conversation: "group.g", anchor: {} });
    world.cut(3503);
    const late = world.send("group.g");
    for (const ticket of [open, late]) expect(world.rejected.get(ticket)?.name).toBe("StoppedError");
  });
});

describe("waits", () => {
  test("grow to their bound while nobody answers, and are told", () => {
    const world = new World(() => 0.999);
    world.network.reachable = false;
    world.start();
    world.pass(200_000);
    const waits = world.told("connection").filter((event) => event.state === "waiting");
    const retryAts = waits.map((event) => event.retryAt!);
    const lengths = retryAts.slice(1).map((at, place) => at - retryAts[place]!);
    expect(lengths.slice(0, 4).every((length, place) => length > 400 * 2 ** place)).toBe(true);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(20_100);
    expect(waits.every((event) => event.reason === "unreachable" && event.since === waits[0]!.since)).toBe(
      true,
    );
  });

  test("start from the first delay only after a connection that lasted", () => {
    const world = new World(() => 0.999);
    world.start();
    for (let loss = 0; loss < 5; loss += 1) {
      world.pass(8_000);
      expect(world.state).toBe("online");
      world.cut();
    }
    const wait = (): number => world.machine.connection.retryAt! - (1_700_000_000_000 + world.now);
    expect(wait()).toBeGreaterThan(3_000);
    world.pass(20_000);
    world.cut();
    expect(wait()).toBeLessThanOrEqual(250);
  });

  test("end when the person or the network says so", () => {
    const world = new World(() => 0.999);
    world.network.reachable = false;
    world.start();
    world.pass(60_000);
    world.network.reachable = true;
    expect(world.state).toBe("waiting");
    world.ask({ do: "hurry" });
    world.pass(100);
    expect(world.state).toBe("online");
  });

  test("the device goes off: the socket is left at once, and the way is tried now and then all the same", () => {
    const world = online();
    world.input({ type: "network", online: false });
    expect(world.machine.connection).toMatchObject({ state: "waiting", reason: "offline" });
    // Nobody waits for an answer that cannot come.
    const ticket = world.ask({ do: "history", conversation: "group.g", anchor: {} });
    expect(world.rejected.get(ticket)?.name).toBe("UnreachableError");
    world.pass(29_000);
    expect(world.connects).toHaveLength(1);
    world.input({ type: "network", online: true });
    world.pass(100);
    expect(world.state).toBe("online");
    world.input({ type: "network", online: false });
    world.pass(60_000);
    expect(world.state, "the device was wrong").toBe("online");
  });

  test("the server names the time when it turns one away", () => {
    const world = new World(() => 0.5);
    world.start();
    world.pass(25);
    world.hear({
      type: "error",
      code: "overloaded",
      message: "full",
      retryable: true,
      retry_after_ms: 9_000,
    });
    world.cut(3013);
    const wait = world.machine.connection.retryAt! - (1_700_000_000_000 + world.now);
    expect(wait).toBeGreaterThanOrEqual(9_000);
    expect(wait).toBeLessThanOrEqual(9_250);
  });
});

describe("silence", () => {
  test("a connection that is idle is asked, and stays", () => {
    const world = online();
    world.pass(300_000);
    expect(world.connects).toHaveLength(1);
    expect(world.said("ping").length).toBeGreaterThan(8);
    expect(world.said("ping").length).toBeLessThan(16);
  });

  test("half-open: left after one and a half intervals, without waiting for a close", () => {
    const world = online();
    world.network.flowing = false;
    world.pass(37_400);
    expect(world.state).toBe("online");
    world.pass(400);
    expect(world.machine.connection.reason).toBe("silent");
    world.network.flowing = true;
    world.pass(20_000);
    expect(world.state).toBe("online");
  });

  test("half-open, and something is to be sent: left after ten seconds, and sent once", () => {
    const world = online();
    world.network.flowing = false;
    world.send("group.g");
    world.pass(10_500);
    expect(world.state).not.toBe("online");
    world.network.flowing = true;
    world.pass(20_000);
    expect([...world.server.sent.values()]).toMatchObject([{ times: 1 }]);
  });

  test("back from sleep, the server gets a moment", () => {
    const world = online();
    world.sleep(3_600_000);
    world.pass(100);
    expect(world.state).toBe("online");
    expect(world.connects).toHaveLength(1);
    world.network.flowing = false;
    world.sleep(3_600_000);
    world.pass(5_100);
    expect(world.machine.connection.reason).toBe("silent");
  });

  test("a tab whose timers are held back leaves a half-open connection all the same", () => {
    const world = online();
    world.network.flowing = false;
    for (let minute = 0; minute < 3; minute += 1) {
      world.sleep(60_000);
      world.pass(0);
    }
    expect(world.machine.connection.reason).toBe("silent");
  });

  test("a hello without an answer is not waited for", () => {
    const world = new World();
    world.network.flowing = false;
    world.start();
    world.pass(16_000);
    expect(world.machine.connection).toMatchObject({ reason: "silent" });
  });
});

describe("tokens", () => {
  test("renewed in-band before they end", () => {
    const world = online();
    world.token = "token-2";
    world.pass(841_000);
    expect(world.said("token").map((frame) => frame.token)).toEqual(["token-2"]);
    expect(world.tokensAsked).toEqual([undefined, "token-1"]);
    expect(world.connects).toHaveLength(1);
  });

  test("one that the server does not take in-band is replaced after a pause, not in a loop", () => {
    const world = online();
    world.server.faults.tokensAway = true;
    world.pass(839_000);
    world.token = "token-2";
    world.pass(1_020);
    const { id } = world.said("token")[0]!;
    world.token = "token-3";
    world.hear({ type: "error", id, code: "forbidden", message: "another device", retryable: false });
    world.pass(4_000);
    expect(world.tokensAsked).toHaveLength(2);
    world.pass(2_000);
    expect(world.tokensAsked.at(-1)).toBe("token-2");
    expect(world.said("token").map((frame) => frame.token)).toEqual(["token-2", "token-3"]);
  });

  test("a source whose tokens are all refused in-band is believed no more", () => {
    const world = online();
    world.server.faults.tokensAway = true;
    world.token = "token-2";
    world.pass(840_100);
    for (const count of [1, 2, 3]) {
      expect(world.said("token")).toHaveLength(count);
      const { id } = world.said("token").at(-1)!;
      world.token = `token-${count + 2}`;
      world.hear({ type: "error", id, code: "unauthorized", message: "not this one", retryable: false });
      expect(world.tokensAsked, "not in a loop").toHaveLength(count + 1);
      world.pass(5_100);
    }
    expect(world.machine.connection).toMatchObject({ state: "stopped", reason: "signed_out" });
    expect(world.tokensAsked).toEqual([undefined, "token-1", "token-2", "token-3"]);
  });

  test("one that has ended is replaced, and the connection comes at once", () => {
    const world = new World();
    world.server.bad.add("token-1");
    world.start();
    world.pass(35);
    world.token = "token-2";
    world.pass(100);
    expect(world.tokensAsked).toEqual([undefined, "token-1"]);
    expect(world.state).toBe("online");
  });

  test("a source whose tokens are all refused is believed no more", () => {
    const world = new World();
    world.server.bad.add("token-1");
    world.start();
    world.pass(5_000);
    expect(world.tokensAsked).toEqual([undefined, "token-1", "token-1"]);
    expect(world.machine.connection).toMatchObject({ state: "stopped", reason: "signed_out" });
  });

  test("no token to be had is the end; a source that is away is not", () => {
    const world = online();
    world.cut();
    world.pass(1);
    world.input({ type: "no_token", why: "unreachable" });
    world.pass(30_000);
    expect(world.state).toBe("online");
    world.token = undefined;
    world.cut();
    world.pass(30_000);
    expect(world.machine.connection).toMatchObject({ state: "stopped", reason: "signed_out" });
  });

  test("a send that finds the session expired goes again with a fresh token, and has not failed", () => {
    const world = online();
    Object.assign(world.server.faults, { losesAcks: true, losesTail: true });
    world.send("group.g");
    world.pass(50);
    const { id } = world.said("send")[0]!;
    Object.assign(world.server.faults, { losesAcks: false, losesTail: false });
    world.token = "token-2";
    world.hear({ type: "error", id, code: "token_expired", message: "expired", retryable: false });
    world.pass(5_000);
    expect(world.said("token").map((frame) => frame.token)).toEqual(["token-2"]);
    expect(world.said("send").map((frame) => frame.id)).toEqual([id, id]);
    expect(world.machine.outbox()).toEqual([]);
  });
});

describe("an edge that drains", () => {
  const edges = ["https://other.example.com"];

  test("is left for another at once when nothing is open", () => {
    const world = online(() => 0.25);
    const discovering = world.machine;
    world.hear({ type: "draining", edges, within_ms: 4_000 });
    world.pass(1_100);
    // This machine does not discover: there is nowhere to go, and it stays until it is closed.
    expect(discovering.connection.state).toBe("online");
    world.cut(3001);
    expect(world.machine.connection.reason).toBe("draining");
    world.pass(1_000);
    expect(world.state).toBe("online");
  });

  test("is left when its acks are in", () => {
    const world = new World(() => 0.25, {}, true);
    world.start();
    world.pass(100);
    Object.assign(world.server.faults, { losesAcks: true, losesTail: true });
    world.send("group.g");
    world.pass(50);
    world.hear({ type: "draining", edges, within_ms: 4_000 });
    world.send("group.g", "later");
    world.pass(2_000);
    expect(world.connects).toHaveLength(1);
    const { id } = world.said("send")[0]!;
    Object.assign(world.server.faults, { losesAcks: false, losesTail: false });
    world.hear({ type: "ack", id, seq: world.server.sent.get(id)!.seq });
    world.pass(100);
    expect(world.connects).toEqual(["https://chat.example.com", "https://other.example.com"]);
    expect(world.state).toBe("online");
    expect(world.kept.values.get("edges")).toEqual({ at: 1_700_000_000_000 + 150, edges });
    expect(world.machine.outbox()).toEqual([]);
    const reasons = world.told("connection").map((event) => event.reason);
    expect(reasons).toContain("draining");
  });
});

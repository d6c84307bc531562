/** Which edge is tried next, and which names are followed. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { followed } from "../../src/engine/follow.js";
import { Route, socketAddress } from "../../src/engine/route.js";

const HOME = "https://chat.example.com";
const [ONE, TWO] = ["https://one.example.com", "https://two.example.com"];
const middle = (): number => 0.5;

describe("names that are followed", () => {
  test.each([
    [HOME, "https://edge.example.com/", ["https://edge.example.com"]],
    [HOME, "http://edge.example.com", []],
    [HOME, "https://127.0.0.1:8080", []],
    [HOME, "https://127.1", []],
    [HOME, "https://localhost", []],
    [HOME, "https://a.localhost.", []],
    [HOME, "https://[::1]", []],
    [HOME, "https://[::ffff:127.0.0.1]", []],
    [HOME, "https://0.0.0.0", []],
    [HOME, "javascript:alert(1)", []],
    [HOME, "not an address", []],
    ["http://10.0.0.1", "http://10.0.0.2", ["http://10.0.0.2"]],
    ["http://10.0.0.1", "https://edge.example.com", ["https://edge.example.com"]],
    ["http://10.0.0.1", "http://127.0.0.1", []],
    ["http://localhost:8080", "http://127.0.0.1:8081", ["http://127.0.0.1:8081"]],
  ])("from %s, %s", (configured, edge, expected) => {
    expect(followed([edge], configured)).toEqual(expected);
  });

  test("each once, and not without end", () => {
    expect(followed([ONE, `${ONE}/`, ONE], HOME)).toEqual([ONE]);
    const many = Array.from({ length: 1_000 }, (_, n) => `https://e${n}.example.com`);
    expect(followed(many, HOME)).toHaveLength(64);
    expect(followed([7 as never, ONE], HOME)).toEqual([ONE]);
  });
});

test("the top first, then down the list, then the configured server, then from the top", () => {
  const route = new Route(`${HOME}/`, true, middle);
  expect(route.wants(0)).toBe(true);
  route.answered(0, [ONE, TWO]);
  const tried = [];
  for (let attempt = 0; attempt < 5; attempt += 1) {
    tried.push(route.current);
    route.next();
  }
  expect(tried).toEqual([ONE, TWO, HOME, ONE, TWO]);
});

test("an answer is kept a minute; after a loss it is doubted after five seconds", () => {
  const route = new Route(HOME, true, () => 0);
  route.answered(0, [ONE]);
  expect(route.wants(59_999)).toBe(false);
  expect(route.wants(60_000)).toBe(true);
  route.lost();
  expect(route.wants(4_999)).toBe(false);
  expect(route.wants(5_000)).toBe(true);
  // The dead may be named for a while, and first.
  route.answered(5_000, [ONE, TWO]);
  expect(route.current).toBe(TWO);
  route.connected();
  route.answered(70_000, undefined);
  expect(route.wants(74_999)).toBe(false);
  expect(route.wants(75_000)).toBe(true);
});

test("without discovery there is one server, and nothing is asked", () => {
  const route = new Route(HOME, false, middle);
  expect(route.wants(1e9)).toBe(false);
  route.next();
  expect(route.current).toBe(HOME);
  expect(route.leave(0, [ONE])).toBe(false);
});

test("an edge that drains is left for one that it names, and not for itself", () => {
  const route = new Route(HOME, true, middle);
  route.answered(0, [ONE]);
  expect(route.leave(1, [ONE, TWO])).toBe(true);
  expect(route.current).toBe(TWO);
  const alone = new Route(HOME, true, middle);
  expect(alone.leave(0, [])).toBe(false);
  expect(alone.current).toBe(HOME);
});

test("whatever happens, there is a server to try, and each comes in its turn", () => {
  const happening = fc.oneof(
    fc.constant((route: Route) => route.lost()),
    fc.constant((route: Route) => route.next()),
    fc.constant((route: Route) => route.connected()),
    fc.subarray([ONE, TWO, HOME]).map((edges) => (route: Route) => void route.leave(1, edges)),
    fc.subarray([ONE, TWO, HOME]).map((edges) => (route: Route) => route.answered(1, edges)),
  );
  fc.assert(
    fc.property(fc.array(happening), (happenings) => {
      const route = new Route(HOME, true, middle);
      for (const happen of happenings) happen(route);
      expect(route.candidates).toContain(route.current);
      const tried = new Set<string>();
      for (let attempt = 0; attempt < 2 * route.candidates.length; attempt += 1) {
        tried.add(route.current);
        route.next();
      }
      expect([...tried].sort()).toEqual([...route.candidates].sort());
    }),
  );
});

test("the address of the socket", () => {
  expect(socketAddress("https://chat.example.com/")).toBe("wss://chat.example.com/v1/ws");
  expect(socketAddress("http://127.0.0.1:8080")).toBe("ws://127.0.0.1:8080/v1/ws");
});

/** What is told to have been read, and when. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { attentive } from "../../src/thread/looking.js";
import { Seen } from "../../src/thread/seen.js";

let watched: boolean;
let last: number;
const tell = vi.fn();
let seen: Seen;

beforeEach(() => {
  vi.useFakeTimers();
  vi.clearAllMocks();
  watched = true;
  last = 5;
  seen = new Seen(
    () => watched,
    () => last,
    tell,
  );
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("told once, a moment after it came into view", () => {
  seen.look();
  expect(tell).not.toHaveBeenCalled();
  vi.runAllTimers();
  seen.look();
  vi.runAllTimers();
  expect(tell.mock.calls).toEqual([[5]]);
  expect(seen.upTo).toBe(5);
});

test("what nobody looks at was not read, until somebody does", () => {
  seen.look();
  watched = false;
  vi.runAllTimers();
  last = 6;
  seen.look();
  vi.runAllTimers();
  expect(tell).not.toHaveBeenCalled();
  watched = true;
  seen.look();
  vi.runAllTimers();
  expect(tell.mock.calls).toEqual([[6]]);
});

test("nobody can be looking at what another pane covers", () => {
  vi.stubGlobal("document", { visibilityState: "visible", hasFocus: () => true });
  const inside = (cover: object | null) => ({ closest: () => cover }) as unknown as Element;
  expect(attentive(inside(null))).toBe(true);
  expect(attentive(inside({}))).toBe(false);
});

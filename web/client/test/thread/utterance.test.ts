/** What a live region says, and for how long. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { Utterance } from "../../src/thread/utterance.js";

let shown: string[];
let utterance: Utterance;

beforeEach(() => {
  vi.useFakeTimers();
  shown = [];
  utterance = new Utterance((text) => shown.push(text));
});
afterEach(() => void vi.useRealTimers());

test("the same words are said again: the region is empty in between", () => {
  utterance.say("ok");
  vi.advanceTimersByTime(1_000);
  utterance.say("ok");
  vi.advanceTimersByTime(1_000);
  expect(shown).toEqual(["", "ok", "", "ok"]);
});

test("it goes after its time", () => {
  utterance.say("Copied", 4_000);
  vi.advanceTimersByTime(4_000);
  expect(shown.at(-1)).toBe("Copied");
  vi.advanceTimersByTime(100);
  expect(shown.at(-1)).toBe("");
});

test("the time of one does not end the next", () => {
  utterance.say("Copied", 4_000);
  vi.advanceTimersByTime(3_900);
  utterance.say("That failed", 10_000);
  vi.advanceTimersByTime(5_000);
  expect(shown.at(-1)).toBe("That failed");
});

test("nothing is shown once it has ended", () => {
  utterance.say("Copied", 4_000);
  utterance.end();
  vi.runAllTimers();
  expect(shown).toEqual([""]);
});

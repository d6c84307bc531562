/** How long the names of edges are believed. */
import { describe, expect, test } from "vitest";
import { believed, BELIEVED_MS } from "../../src/engine/named.js";

const NOW = 1_700_000_000_000;
const edges = ["https://edge-1.example.com"];

describe("edges that were named", () => {
  test.each([
    ["just now", 0, edges],
    ["six days ago", 6 * 24 * 3_600_000, edges],
    ["more than a week ago: who has that name by now?", BELIEVED_MS + 1, []],
    ["by a clock that was far ahead", -BELIEVED_MS - 1, []],
  ])("%s", (_, ageMs, expected) => {
    expect(believed({ at: NOW - ageMs, edges }, NOW)).toEqual(expected);
  });

  test.each([undefined, null, "text", edges, { edges }, { at: "today", edges }, { at: NOW, edges: "all" }])(
    "without a time, or what is no list, they are not: %j",
    (kept) => expect(believed(kept, NOW)).toEqual([]),
  );
});

/** Ids that a client makes. */
import { expect, test } from "vitest";
import { makeUlid } from "../src/index.js";

test("a ULID tells its time, and no two are the same", () => {
  // The example of the specification of ULIDs, in lower case.
  expect(makeUlid(1_469_918_176_385)).toMatch(/^01aryz6s41[0-9a-hjkmnp-tv-z]{16}$/);
  expect(new Set(Array.from({ length: 100 }, () => makeUlid(0))).size).toBe(100);
});

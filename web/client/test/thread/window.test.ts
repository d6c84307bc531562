import fc from "fast-check";
import { describe, expect, it } from "vitest";

import {
  around,
  atEnd,
  carry,
  extend,
  type Range,
  ROWS_AT_END,
  ROWS_BATCH,
  ROWS_MAX,
  ROWS_STEP,
} from "../../src/thread/window";

const items = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => ({ key: String(from + index) }));

describe("the window", () => {
  it("is bounded and within the items, whatever is asked", () => {
    const act = fc.constantFrom("start", "end", "append", "prepend", "trim", "around");
    fc.assert(
      fc.property(fc.array(act, { maxLength: 60 }), fc.boolean(), (acts, follow) => {
        let first = 5_000;
        let last = 5_100;
        let list = items(first, last);
        let range: Range = atEnd(list.length);
        for (const act of acts) {
          if (act === "start" || act === "end") range = extend(range, list.length, act);
          if (act === "around") range = around(list.length, Math.floor(list.length / 3));
          if (act === "append") last += 7;
          if (act === "prepend") first -= 60;
          if (act === "trim" && last - first > 200) first += 50;
          const next = items(first, last);
          range = carry(range, list, next, follow) ?? atEnd(next.length);
          list = next;
          expect(range.from).toBeGreaterThanOrEqual(0);
          expect(range.to).toBeLessThanOrEqual(list.length);
          expect(range.to - range.from).toBeGreaterThan(0);
          expect(range.to - range.from).toBeLessThanOrEqual(ROWS_MAX + ROWS_STEP);
        }
      }),
    );
  });

  it("keeps its rows when others come before them", () => {
    const range = carry({ from: 10, to: 50 }, items(100, 160), items(40, 160), false);
    expect(range).toEqual({ from: 70, to: 110 });
  });

  it("follows the end only when told to, and lets go in steps", () => {
    const before = items(0, 300);
    expect(carry({ from: 180, to: 300 }, before, items(0, 301), true)).toEqual({ from: 180, to: 301 });
    expect(carry({ from: 0, to: 300 }, before, items(0, 301), true)).toEqual({
      from: 301 - ROWS_AT_END,
      to: 301,
    });
    expect(carry({ from: 200, to: 300 }, before, items(0, 340), true)).toEqual({
      from: 200,
      to: 300 + ROWS_BATCH,
    });
    expect(carry({ from: 200, to: 300 }, before, items(0, 900), true)?.to).toBe(900);
    expect(carry({ from: 60, to: 300 }, before, items(0, 301), false)).toEqual({ from: 60, to: 300 });
    expect(carry({ from: 200, to: 300 }, before, items(0, 301), false)).toEqual({ from: 200, to: 301 });
  });

  it("knows another piece of the conversation", () => {
    expect(carry({ from: 0, to: 10 }, items(0, 10), items(500, 510), true)).toBeUndefined();
  });

  it("is the same when there is no more", () => {
    const range = { from: 0, to: 20 };
    expect(extend(range, 20, "start")).toBe(range);
    expect(extend(range, 20, "end")).toBe(range);
  });
});

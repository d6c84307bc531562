import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { Anchor, type Mark, type Surface } from "../../src/thread/anchor";

/** A list of rows with heights, scrolled as a browser does: whole pixels, within its bounds. */
class Sheet implements Surface<object> {
  rows: { height: number }[];
  clientHeight = 600;
  #scrollTop = 0;

  constructor(heights: number[]) {
    this.rows = heights.map((height) => ({ height }));
  }
  get scrollTop(): number {
    return this.#scrollTop;
  }
  set scrollTop(value: number) {
    this.#scrollTop = Math.max(
      0,
      Math.min(Math.round(value), Math.floor(this.scrollHeight - this.clientHeight)),
    );
  }
  get scrollHeight(): number {
    return this.rows.reduce((sum, row) => sum + row.height, 0);
  }
  inView(): Mark<object>[] {
    return this.rows
      .map((element) => ({ element, top: this.top(element) ?? 0 }))
      .filter(({ element, top }) => top + element.height > 0 && top < this.clientHeight);
  }
  top(element: object): number | undefined {
    const index = this.rows.indexOf(element as { height: number });
    if (index === -1) return undefined;
    return this.rows.slice(0, index).reduce((sum, row) => sum + row.height, 0) - this.#scrollTop;
  }
}

describe("the anchor", () => {
  const heights = fc.array(fc.double({ min: 20, max: 300, noNaN: true }), { minLength: 40, maxLength: 80 });
  const change = fc.oneof(
    fc.record({ at: fc.constant("start" as const), heights }),
    fc.record({ at: fc.constant("end" as const), heights }),
    fc.record({ at: fc.constant("above" as const), height: fc.double({ min: 1, max: 900, noNaN: true }) }),
    fc.record({ at: fc.constant("trim" as const) }),
  );

  it("keeps what is in view within a pixel, whatever comes, goes and grows", () => {
    fc.assert(
      fc.property(
        heights,
        fc.integer({ min: 0, max: 900 }),
        fc.array(change, { maxLength: 20 }),
        (first, to, changes) => {
          const sheet = new Sheet([...first, ...first]);
          const anchor = new Anchor(sheet);
          anchor.restore();
          sheet.scrollTop = to;
          anchor.observe(true);
          fc.pre(!anchor.stuck);
          const mark = sheet.inView()[0];
          if (!mark) throw new Error("nothing in view");
          for (const change of changes) {
            anchor.observe(true);
            const index = sheet.rows.indexOf(mark.element as { height: number });
            if (change.at === "start") sheet.rows.unshift(...change.heights.map((height) => ({ height })));
            if (change.at === "end") sheet.rows.push(...change.heights.map((height) => ({ height })));
            const above = sheet.rows[index - 1];
            if (change.at === "above" && above) above.height = change.height;
            // Rows that are far below the view are let go.
            if (change.at === "trim" && sheet.rows.length - index > 60) sheet.rows.length = index + 60;
            anchor.restore();
            const bounded = sheet.scrollTop <= 0 || sheet.scrollTop >= Math.floor(sheet.scrollHeight - 600);
            if (!bounded)
              expect(Math.abs((sheet.top(mark.element) ?? NaN) - mark.top)).toBeLessThanOrEqual(1);
          }
        },
      ),
    );
  });

  it("sticks to the end only from the end", () => {
    const sheet = new Sheet(Array<number>(50).fill(40));
    const anchor = new Anchor(sheet);
    anchor.restore();
    expect(sheet.scrollTop).toBe(50 * 40 - 600);
    sheet.rows.push({ height: 40 });
    anchor.observe(true);
    anchor.restore();
    expect(sheet.scrollTop).toBe(51 * 40 - 600);
    sheet.scrollTop -= 100;
    anchor.observe(true);
    expect(anchor.stuck).toBe(false);
    sheet.rows.push({ height: 40 });
    anchor.restore();
    expect(sheet.scrollTop).toBe(51 * 40 - 700);
    sheet.scrollTop = sheet.scrollHeight;
    anchor.observe(false);
    expect(anchor.stuck).toBe(false);
    sheet.scrollTop -= 5;
    anchor.observe(true);
    expect(anchor.stuck).toBe(true);
  });

  it("goes by the next mark when the first is gone", () => {
    const sheet = new Sheet(Array<number>(100).fill(40));
    const anchor = new Anchor(sheet);
    anchor.restore();
    sheet.scrollTop = 1000;
    anchor.observe(true);
    const second = sheet.inView()[1];
    sheet.rows.splice(25, 1);
    anchor.restore();
    expect(sheet.top(second?.element ?? {})).toBe(second?.top);
  });

  it("brings an element to a place and keeps it there", () => {
    const sheet = new Sheet(Array<number>(100).fill(40));
    const anchor = new Anchor(sheet);
    anchor.restore();
    const element = sheet.rows[50] ?? {};
    anchor.bring(element, 200, true);
    sheet.rows.unshift({ height: 333 });
    anchor.restore();
    expect(sheet.top(element)).toBe(200);
  });
});

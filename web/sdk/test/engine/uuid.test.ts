/** Message ids: of version 7, with the time in them, ascending whatever the clock does. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { messageIds } from "../../src/engine/uuid.js";

const FORM = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

test("the example of RFC 9562, appendix A.6, but for the counter", () => {
  const bytes = [0, 0, 0, 0, 0, 0, 0xc, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f];
  const make = messageIds(
    () => 0x017f22e279b0,
    (array) => array.set(bytes),
  );
  expect(make()).toBe("017f22e2-79b0-74c3-98c4-dc0c0c07398f");
});

test("ascending within a millisecond, beyond its counter, and while the clock is set back", () => {
  const clock = fc.array(fc.integer({ min: 1_700_000_000_000, max: 1_700_000_000_010 }), { minLength: 2 });
  fc.assert(
    fc.property(clock, fc.integer({ min: 1, max: 300 }), (times, each) => {
      let now = 0;
      const make = messageIds(() => now);
      const ids = times.flatMap((time) => {
        now = time;
        return Array.from({ length: each }, make);
      });
      for (const id of ids) expect(id).toMatch(FORM);
      expect(ids).toEqual([...new Set(ids)].sort());
    }),
    { numRuns: 30 },
  );
  const make = messageIds(() => 1_700_000_000_000);
  const many = Array.from({ length: 10_000 }, make);
  expect(many).toEqual([...new Set(many)].sort());
});

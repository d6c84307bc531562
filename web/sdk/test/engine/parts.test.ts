/** The small parts: delays, frames, the codes of a close. */
import fc from "fast-check";
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { delayMs } from "../../src/engine/backoff.js";
import { decode, reconnects } from "../../src/engine/frames.js";

const GOLDEN = new URL("../../../../nats/golden/", import.meta.url);

test("a delay stays within its bounds, and uses all of them", () => {
  const backoff = { baseMs: 250, maxMs: 20_000 };
  fc.assert(
    fc.property(fc.nat(1_000), fc.double({ min: 0, max: 1, noNaN: true }), (failures, chance) => {
      const delay = delayMs(backoff, failures, () => chance);
      expect(delay).toBeGreaterThanOrEqual(0);
      expect(delay).toBeLessThanOrEqual(Math.min(20_000, 250 * 2 ** failures));
    }),
  );
  expect([0, 1, 6, 7, 99].map((failures) => delayMs(backoff, failures, () => 1))).toEqual([
    250, 500, 16_000, 20_000, 20_000,
  ]);
});

test("every frame of the server's golden examples is one", () => {
  const names = readdirSync(GOLDEN).filter((name) => name.startsWith("server."));
  expect(names.length).toBeGreaterThan(12);
  for (const name of names) expect(decode(readFileSync(new URL(name, GOLDEN), "utf8")), name).toBeDefined();
});

test("garbage and frames of a newer server are no frames, and break nothing", () => {
  for (const text of ["", "[]", "null", "1", '"ready"', "{", '{"type":"toString"}', '{"type":"__proto__"}']) {
    expect(decode(text), text).toBeUndefined();
  }
  expect(decode('{"type":"reaction","emoji":"🦎"}')).toBeUndefined();
  expect(decode('{"type":"ack","id":"x","seq":"1"}')).toBeUndefined();
  expect(decode('{"type":"ack","id":"x","seq":1,"new":true}')).toMatchObject({ seq: 1 });
  expect(decode(new ArrayBuffer(2))).toBeUndefined();
  fc.assert(fc.property(fc.json(), (text) => void decode(text)));
});

test("the range of a close code is the policy", () => {
  for (const code of [undefined, 1000, 1006, 3000, 3499, 4000]) expect(reconnects(code)).toBe(true);
  for (const code of [3500, 3501, 3700, 3999]) expect(reconnects(code)).toBe(false);
});

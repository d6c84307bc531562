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

test("what is garbled within a frame is left out, and the rest of it counts", () => {
  const golden = (name: string): Record<string, unknown> =>
    JSON.parse(readFileSync(new URL(`server.${name}.json`, GOLDEN), "utf8")) as Record<string, unknown>;
  const lists = [
    ["ready", "conversations"],
    ["conversations", "conversations"],
    ["history", "messages"],
    ["receipts", "cursors"],
    ["presence", "users"],
    ["draining", "edges"],
  ] as const;
  for (const [name, list] of lists) {
    const frame = golden(name);
    const good = frame[list] as unknown[];
    const text = JSON.stringify({ ...frame, [list]: [null, 7, ...good, {}, []] });
    expect(decode(text), name).toEqual({ ...frame, [list]: good });
  }
  const [summary] = golden("ready")["conversations"] as Record<string, unknown>[];
  for (const key of ["conversation", "head", "cursor"]) {
    const frame = { ...golden("ready"), conversations: [{ ...summary, [key]: undefined }] };
    expect(decode(JSON.stringify(frame)), key).toMatchObject({ conversations: [] });
  }
  const message = golden("message");
  for (const [key, value] of [
    ["seq", 1.5],
    ["seq", -1],
    ["prev", 2 ** 60],
    ["text", 7],
    ["kind", "edit"],
    ["kind", "event"],
  ] as const) {
    expect(decode(JSON.stringify({ ...message, [key]: value })), key).toBeUndefined();
  }
  expect(decode(JSON.stringify({ ...message, kind: "poll" }))).toMatchObject({ kind: "poll" });
  expect(decode(JSON.stringify({ ...golden("ready"), user: {} }))).toBeUndefined();
});

test("the range of a close code is the policy", () => {
  for (const code of [undefined, 1000, 1006, 3000, 3499, 4000]) expect(reconnects(code)).toBe(true);
  for (const code of [3500, 3501, 3700, 3999]) expect(reconnects(code)).toBe(false);
});

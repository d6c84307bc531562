/** What a conversation waits for before it opens. */
import type { Client } from "natterjack-sdk";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { known } from "../../src/thread/known.js";

const DM = "dm.a.b";

class Fake {
  connection = { state: "connecting" };
  entry: object | undefined;
  listeners = new Set<() => void>();
  on = (): (() => void) => () => undefined;
  conversations = {
    get: () => this.entry,
    subscribe: (listener: () => void) => {
      this.listeners.add(listener);
      return () => this.listeners.delete(listener);
    },
  };
}

let fake: Fake;

beforeEach(() => {
  vi.useFakeTimers();
  fake = new Fake();
});
afterEach(() => void vi.useRealTimers());

function waited(): () => boolean {
  let over = false;
  void known(fake as unknown as Client, DM).then(() => (over = true));
  return () => over;
}

test("what is kept on the device is enough, however late it comes from the disk", async () => {
  const over = waited();
  await vi.advanceTimersByTimeAsync(100);
  expect(over()).toBe(false);
  fake.entry = {};
  for (const listener of fake.listeners) listener();
  await vi.advanceTimersByTimeAsync(0);
  expect(over()).toBe(true);
  expect(fake.listeners.size).toBe(0);
});

test("a server that says nothing keeps nobody for long", async () => {
  const over = waited();
  await vi.advanceTimersByTimeAsync(1_900);
  expect(over()).toBe(false);
  await vi.advanceTimersByTimeAsync(200);
  expect(over()).toBe(true);
});

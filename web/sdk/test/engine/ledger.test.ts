/** The line to the store: one write at a time, told after it is kept, and a store that fails stops nothing. */
import { expect, test } from "vitest";
import type { Change } from "../../src/index.js";
import { Ledger } from "../../src/engine/ledger.js";

const draft = (text: string): Change => ({ put: "draft", conversation: "group.g", text });
const unsent: Change = { drop: "outbox", id: "x" };

/** A store whose writes end when the test says so. */
function held() {
  const writes: { changes: Change[]; resolve: () => void; reject: (error: Error) => void }[] = [];
  const write = (changes: Change[]): Promise<void> =>
    new Promise((resolve, reject) => void writes.push({ changes, resolve, reject }));
  return { writes, write };
}

test("what gathers while one write is under way is the next one, and the order is kept", async () => {
  const store = held();
  const told: string[] = [];
  const ledger = new Ledger(store, () => told.push("failed"));
  ledger.put([], () => told.push("at once"));
  ledger.put([draft("1")], () => told.push("1"));
  ledger.put([], () => told.push("after 1"));
  ledger.put([draft("2")], () => told.push("2"));
  ledger.put([draft("3")], () => told.push("3"));
  expect(told).toEqual(["at once"]);
  expect(store.writes.map(({ changes }) => changes)).toEqual([[draft("1")]]);
  store.writes[0]!.resolve();
  await expect.poll(() => store.writes.length).toBe(2);
  expect(told).toEqual(["at once", "1"]);
  expect(store.writes[1]!.changes).toEqual([draft("2"), draft("3")]);
  store.writes[1]!.resolve();
  await ledger.settled();
  expect(told).toEqual(["at once", "1", "after 1", "2", "3"]);
});

test("a write that fails is told, and what a person wrote is tried once more by itself", async () => {
  const store = held();
  const told: string[] = [];
  const ledger = new Ledger(store, (error) => told.push(error.message));
  ledger.put([draft("1"), unsent], () => told.push("1"));
  store.writes[0]!.reject(new Error("no room"));
  await expect.poll(() => store.writes.length).toBe(2);
  expect(store.writes[1]!.changes).toEqual([unsent]);
  store.writes[1]!.resolve();
  await ledger.settled();
  expect(told).toEqual(["no room", "1"]);
});

test("a store that hangs stops nothing", async () => {
  const told: string[] = [];
  const ledger = new Ledger(held(), (error) => told.push(error.message), 5);
  ledger.put([draft("1")], () => told.push("1"));
  ledger.put([draft("2")], () => told.push("2"));
  await ledger.settled();
  expect(told).toEqual(["the store did not answer in time", "1", "the store did not answer in time", "2"]);
});

test("one who throws when told stops nothing", async () => {
  const told: string[] = [];
  const thrower = (): never => {
    throw new Error("thrown");
  };
  const ledger = new Ledger({ write: () => Promise.resolve() }, (error) => told.push(error.message));
  ledger.put([], thrower);
  ledger.put([draft("1")], thrower);
  ledger.put([draft("2")], () => told.push("2"));
  await ledger.settled();
  ledger.put([draft("3")], () => told.push("3"));
  await ledger.settled();
  expect(told).toEqual(["thrown", "thrown", "2", "3"]);
});

/**
 * What the machine promises, whatever happens: nothing is missing, nothing comes twice, nothing that was written is
 * lost or stored twice, and the order of a conversation is the order in which it was written.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { LIMITS, ME } from "./sim-server.js";
import { World } from "./world.js";

const CONVERSATIONS = ["dm.a.b", "group.g", "group.h"];

interface Happening {
  name: string;
  step: (world: World) => void;
}

const conversation = fc.constantFrom(...CONVERSATIONS);
/** Two in three times, things work: who is never connected is never tried. */
const working = fc.constantFrom(true, true, false);
const fault = working.map((works) => !works);

/** One thing that happens, with a name for the report of a failure. */
const step: fc.Arbitrary<Happening> = fc.oneof(
  often(8, "pass a little", fc.integer({ min: 0, max: 200 }), (world, ms) => world.pass(ms)),
  often(2, "pass", fc.integer({ min: 0, max: 60_000 }), (world, ms) => world.pass(ms)),
  often(10, "post", conversation, (world, name) => void world.server.post(name)),
  often(1, "post many", conversation, (world, name) => {
    for (let count = 0; count < LIMITS.resume_messages_max + 7; count += 1) world.server.post(name);
  }),
  often(5, "send", conversation, (world, name) => void world.send(name)),
  often(1, "edit", conversation, (world, name) => {
    world.ask({ do: "enqueue", conversation: name, content: { kind: "edit", target: 1, text: "new" } });
  }),
  often(2, "cut", fc.constantFrom(undefined, 1006, 3001, 3008, 3012, 3013, 3200), (world, code) =>
    world.cut(code),
  ),
  often(1, "restart", fc.constant(0), (world) => world.restart()),
  often(1, "sleep", fc.integer({ min: 0, max: 200_000 }), (world, ms) => world.sleep(ms)),
  often(1, "reachable", working, (world, is) => void (world.network.reachable = is)),
  often(1, "flowing", working, (world, is) => void (world.network.flowing = is)),
  often(1, "network", working, (world, online) => world.input({ type: "network", online })),
  often(3, "loses tail", fault, (world, is) => void (world.server.faults.losesTail = is)),
  often(1, "forgets prev", fault, (world, is) => void (world.server.faults.forgetsPrev = is)),
  often(1, "loses acks", fault, (world, is) => void (world.server.faults.losesAcks = is)),
  often(1, "overloaded", fault, (world, is) => void (world.server.faults.overloaded = is)),
  often(1, "history away", fault, (world, is) => void (world.server.faults.historyAway = is)),
  often(1, "bad token", fc.constant(0), (world) => {
    world.server.bad.add(world.token!);
    world.token = `${world.token}+`;
  }),
  often(1, "slow store", fc.integer({ min: 0, max: 500 }), (world, ms) => void (world.writeMs = ms)),
  often(2, "repeat", conversation, (world, name) => world.server.repeat(name)),
  often(1, "nudge", conversation, (world, name) => world.server.nudge(name)),
  often(1, "hurry", fc.constant(0), (world) => void world.ask({ do: "hurry" })),
);

function often<T>(
  weight: number,
  name: string,
  arbitrary: fc.Arbitrary<T>,
  take: (world: World, value: T) => void,
): fc.WeightedArbitrary<Happening> {
  const made = (value: T): Happening => ({
    name: `${name} ${String(value)}`,
    step: (world) => take(world, value),
  });
  return { weight, arbitrary: arbitrary.map(made) };
}

/** Everything works again, for long enough. */
function heal(world: World): void {
  Object.assign(world.network, { reachable: true, flowing: true });
  for (const fault of Object.keys(world.server.faults)) {
    world.server.faults[fault as keyof typeof world.server.faults] = false;
  }
  world.writeMs = 2;
  world.input({ type: "network", online: true });
  world.pass(300_000);
  // A lost last message is announced by nothing but this.
  for (const name of CONVERSATIONS) world.server.nudge(name);
  world.pass(60_000);
}

test("nothing is missing, nothing comes twice, and the order holds", () => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 60 }),
      fc.array(fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), {
        minLength: 1,
        maxLength: 30,
      }),
      (steps, chances) => {
        let chance = 0;
        const world = new World(() => chances[(chance += 1) % chances.length]!);
        world.start();
        world.pass(100);
        for (const { step: happen } of steps) happen(world);
        heal(world);
        expect(world.state, steps.map(({ name }) => name).join(", ")).toBe("online");
        for (const name of CONVERSATIONS) {
          noHoles(world, name);
          inOrder(world, name);
        }
        expect(world.machine.outbox()).toEqual([]);
        expect(world.kept.outbox.size).toBe(0);
      },
    ),
    { numRuns: 300 },
  );
});

/** All messages between the first that was told and the head were told once, or lie in a gap that was told. */
function noHoles(world: World, name: string): void {
  const told = world.seqs(name);
  const gaps = world.told("truncated").filter((gap) => gap.conversation === name);
  const log = (world.server.logs.get(name) ?? []).map((message) => message.seq);
  const known = told[0] ?? gaps[0]?.cursor;
  const inGap = (seq: number): boolean => gaps.some((gap) => gap.cursor < seq && seq <= gap.head);
  const missing = log.filter(
    (seq) => known !== undefined && seq >= known && !told.includes(seq) && !inGap(seq),
  );
  expect(missing, name).toEqual([]);
  // A page that closes before it has told what it stored tells it again: once a run, not more.
  const kept = [...(world.kept.messages.get(name)?.keys() ?? [])];
  expect(kept.every((seq) => log.includes(seq))).toBe(true);
  if (log.length > 0) expect(world.kept.cursors.get(name)).toBe(log.at(-1));
}

/** Own messages are stored once, in the order in which they were written. */
function inOrder(world: World, name: string): void {
  const own = (world.server.logs.get(name) ?? []).filter((message) => message.sender === ME);
  const ids = own.map((message) => Number(message.id.replace("own-", "")));
  expect(ids, name).toEqual([...ids].sort((one, other) => one - other));
  expect(new Set(ids).size).toBe(ids.length);
}

test("in one run, each message is told once and ascending", () => {
  const unbroken = step.filter(({ name }) => !name.startsWith("restart"));
  fc.assert(
    fc.property(fc.array(unbroken, { maxLength: 50 }), (steps) => {
      const world = new World();
      world.start();
      world.pass(100);
      for (const { step: happen } of steps) happen(world);
      heal(world);
      for (const name of CONVERSATIONS) {
        const told = world.seqs(name);
        expect(told).toEqual([...new Set(told)].sort((one, other) => one - other));
      }
      // What was written was answered, and told to be done exactly once.
      const done = world.told("outbox").filter((event) => event.done !== undefined);
      expect(new Set(done.map((event) => event.entry.id)).size).toBe(done.length);
      expect(done.length).toBe(world.answers.size - countOf(world));
    }),
    { numRuns: 150 },
  );
});

function countOf(world: World): number {
  return [...world.answers.values()].filter((answer) => answer === null).length;
}

/** People: each is asked for once, in batches, and watched together. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import type { Command } from "../../src/engine/engine.js";
import { PeopleModel } from "../../src/models/people.js";
import { UnreachableError, UsageError } from "../../src/errors.js";
import type { Profile } from "../../src/wire.js";
import { OTHER } from "../store/messages.js";
import { until, World } from "./world.js";

class PeopleWorld extends World {
  readonly batches: string[][] = [];
  readonly watched: string[][] = [];
  reachable = true;
  readonly model = new PeopleModel(this);

  constructor() {
    super();
    Object.assign(this.api, {
      users: (ids: string[]): Promise<Profile[]> => {
        this.batches.push(ids);
        if (!this.reachable) return Promise.reject(new UnreachableError("no answer"));
        return Promise.resolve(
          ids.filter((id) => id !== "nobody").map((id) => ({ id, name: `name of ${id}` })),
        );
      },
    });
  }

  override ask(command: Command): Promise<never> {
    if (command.do === "watch") this.watched.push(command.users);
    return Promise.resolve(null as never);
  }
}

let world: PeopleWorld;

beforeEach(() => {
  world = new PeopleWorld();
});

afterEach(() => {
  vi.useRealTimers();
  world.model.close();
});

test("are asked for in batches, each once", async () => {
  const ids = Array.from({ length: 150 }, (_, index) => `u${index}`);
  for (const id of [...ids, ...ids]) expect(world.model.profile(id)).toBeUndefined();
  const { snapshot } = world.model;
  await until(() => world.model.profile("u149") !== undefined);
  expect(world.batches.map((batch) => batch.length)).toEqual([100, 50]);
  expect(world.model.snapshot).toBeGreaterThan(snapshot);
  world.model.profile("nobody");
  await until(() => world.batches.length === 3);
  world.model.profile("nobody");
  expect(world.batches).toHaveLength(3);
});

test("are known from the last run at once, and brought up to date", async () => {
  await world.store.write([{ put: "profiles", profiles: [{ id: OTHER, name: "old name" }] }]);
  world.reachable = false;
  world.model.profile(OTHER);
  await until(() => world.model.profile(OTHER)?.name === "old name");
  world.reachable = true;
  world.connect("online");
  await until(() => world.model.profile(OTHER)?.name === `name of ${OTHER}`);
  expect(await world.store.profiles([OTHER])).toEqual([{ id: OTHER, name: `name of ${OTHER}` }]);
});

test("are watched as one list, which follows what is shown", async () => {
  vi.useFakeTimers();
  expect(() => world.model.watch(["bob"])).toThrow(UsageError);
  const [A, B, C] = ["1", "2", "3"].map((digit) => `${OTHER.slice(0, -1)}${digit}`) as [
    string,
    string,
    string,
  ];
  const end = world.model.watch([A, B]);
  world.model.watch([B, C]);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(world.watched).toEqual([[A, B, C]]);
  world.hub.emit("presence", { users: [{ user: A, state: "online" }] });
  expect(world.model.presence(A)?.state).toBe("online");
  end();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(world.watched.at(-1)).toEqual([B, C]);
  expect(world.model.presence(A)).toBeUndefined();
});

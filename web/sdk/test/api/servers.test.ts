/** The edge in use is gone: what is asked of another one, and what is never asked twice. */
import { IDBFactory } from "fake-indexeddb";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { EdgeMemory } from "../../src/api/known-edges.js";
import { Servers, type Repeat } from "../../src/api/servers.js";
import { accounts, createApi, openVault, ServerError, UnreachableError } from "../../src/index.js";

const HOME = "https://chat.example.com";
const ONE = "https://edge-1.example.com";
const TWO = "https://edge-2.example.com";

type Mood =
  | "there"
  /** Nothing listens there. */
  | "gone"
  /** Does what it is asked, and breaks off before it has answered. */
  | "breaks"
  /** Takes what it is asked, and never answers. */
  | "still"
  /** Without the others: it answers that it is not available. */
  | "alone";

/** Servers that share what they know; what was done at which. */
class World {
  mood: Record<string, Mood> = { [HOME]: "there", [ONE]: "there", [TWO]: "there" };
  edges = [ONE, TWO];
  done: string[] = [];
  asked: string[] = [];
  #refresh = 0;

  readonly fetch = (async (input: string, { method, signal }: RequestInit) => {
    const { origin, pathname } = new URL(input);
    const what = pathname === "/v1/edges" ? "edges" : `${method} ${pathname}`;
    this.asked.push(`${what} @ ${origin}`);
    const mood = this.mood[origin];
    if (mood === "gone") throw new TypeError("fetch failed");
    if (what !== "edges") this.done.push(`${what} @ ${origin}`);
    if (mood === "breaks" && what !== "edges") throw new TypeError("fetch failed");
    if (mood === "still") {
      await new Promise((_, reject) =>
        signal!.addEventListener("abort", () => reject(signal!.reason as Error)),
      );
    }
    if (mood === "alone")
      return Response.json({ code: "unavailable", message: "cut off", retryable: true }, { status: 503 });
    if (what === "edges") return Response.json(this.edges.map((url) => ({ url })));
    return Response.json({ at: origin, ...this.#tokens() });
  }) as typeof fetch;

  #tokens() {
    this.#refresh += 1;
    const user = { id: "u1", handle: "ann", name: "Ann" };
    const [access_token, refresh_token] = [`access-${this.#refresh}`, `refresh-${this.#refresh}`];
    return { user, device: "d1", access_token, refresh_token, expires_at: 0 };
  }
}

const DAY_MS = 24 * 3_600_000;

const told = (edges: string[], ageMs = 0): EdgeMemory => ({
  get: () => Promise.resolve({ at: Date.now() - ageMs, edges }),
});

/** Time that the test lets pass, also for the limits of requests. */
function heldTime(): void {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date", "performance"] });
  vi.spyOn(AbortSignal, "timeout").mockImplementation((ms) => {
    const ending = new AbortController();
    setTimeout(() => ending.abort(new DOMException("", "TimeoutError")), ms);
    return ending.signal;
  });
}

let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

function servers(memory: EdgeMemory | undefined = told([ONE, TWO]), discover = true): Servers {
  return new Servers({ server: HOME, fetch: world.fetch, memory, discover });
}

function ask(of: Servers, repeat: Repeat = "yes", timeoutMs = 20_000): Promise<{ at: string }> {
  return of.ask({ path: "/v1/x", method: "POST", repeat, timeoutMs }) as Promise<{ at: string }>;
}

describe("where a request goes", () => {
  test("to the configured server, without a question ahead", async () => {
    expect(await ask(servers())).toMatchObject({ at: HOME });
    expect(world.asked).toEqual([`POST /v1/x @ ${HOME}`]);
  });

  test("to an edge that was named, once the configured one is gone, and back when it is there again", async () => {
    vi.useFakeTimers();
    const of = servers();
    world.mood[HOME] = "gone";
    expect(await ask(of)).toMatchObject({ at: ONE });
    world.asked = [];
    // From now on without a detour.
    expect(await ask(of)).toMatchObject({ at: ONE });
    expect(world.asked).toEqual([`POST /v1/x @ ${ONE}`]);
    world.mood[HOME] = "there";
    vi.advanceTimersByTime(30_001);
    expect(await ask(of)).toMatchObject({ at: HOME });
  });

  test("past one that is gone too, and past one that has lost the others", async () => {
    world.mood = { [HOME]: "gone", [ONE]: "alone", [TWO]: "there" };
    expect(await ask(servers())).toMatchObject({ at: TWO });
    expect(world.done).toEqual([`POST /v1/x @ ${TWO}`]);
  });

  test("one that is silent is not waited for as long as one that stands alone", async () => {
    heldTime();
    world.mood[HOME] = "still";
    const asked = ask(servers());
    await vi.advanceTimersByTimeAsync(8_000);
    expect(await asked).toMatchObject({ at: ONE });
  });

  test("of silent ones, those behind are asked meanwhile: who is there is soon found", async () => {
    heldTime();
    world.mood = { [HOME]: "still", [ONE]: "still", [TWO]: "there" };
    const asked = ask(servers(), "no", 5_000);
    await vi.advanceTimersByTimeAsync(600);
    expect(await asked).toMatchObject({ at: TWO });
    expect(world.done).toEqual([`POST /v1/x @ ${TWO}`]);
  });

  test.each(["yes", "unless_late", "no"] as const)(
    "where all are silent, finding out who is there counts for the time of the request (%s)",
    async (repeat) => {
      heldTime();
      world.mood = { [HOME]: "still", [ONE]: "still", [TWO]: "still" };
      const of = servers();
      // Known to be silent, or not yet.
      for (let count = 0; count < 2; count += 1) {
        let failed: unknown;
        ask(of, repeat, 5_000).catch((error: unknown) => (failed = error));
        await vi.advanceTimersByTimeAsync(5_001);
        expect(failed).toBeInstanceOf(UnreachableError);
      }
    },
  );

  test("an answer that refuses is an answer: nobody else is asked", async () => {
    world.mood[HOME] = "alone";
    await expect(ask(servers())).rejects.toThrow(ServerError);
    expect(world.done).toHaveLength(1);
  });

  test("nowhere, when all are gone: the first failure is told, and the tries have an end", async () => {
    world.mood = { [HOME]: "gone", [ONE]: "gone", [TWO]: "gone" };
    for (const repeat of ["yes", "unless_late", "no"] as const)
      await expect(ask(servers(), repeat)).rejects.toThrow(UnreachableError);
    expect(world.asked.length).toBeLessThan(20);
  });

  test("to no other one without discovery, nor from https to http or to this machine", async () => {
    world.mood[HOME] = "gone";
    await expect(ask(servers(told([ONE]), false))).rejects.toThrow(UnreachableError);
    await expect(ask(servers(told(["http://edge.example.com", "https://localhost"])))).rejects.toThrow(
      UnreachableError,
    );
    expect(world.asked).toEqual([`POST /v1/x @ ${HOME}`, `POST /v1/x @ ${HOME}`]);
  });
});

function cutOff(why: Error): Response {
  return new Response(new ReadableStream({ start: (body) => body.error(why) }));
}

describe("what is not asked twice", () => {
  test.each([
    ["an answer that the limit cut off", () => cutOff(new DOMException("", "TimeoutError")), 1],
    ["an answer that broke off", () => cutOff(new TypeError("terminated")), 1],
    ["a proxy that handed it on and waited in vain", () => new Response("<html>", { status: 504 }), 1],
    ["one that says so in JSON", () => Response.json({ oops: true }, { status: 504 }), 1],
    ["but a proxy that reached nobody is as good as none", () => new Response("<html>", { status: 502 }), 2],
  ])("what was likely done: %s", async (_, answer, expected) => {
    const fetch = ((url: string, init: RequestInit) => {
      const answered = world.fetch(url, init);
      return url.startsWith(`${HOME}/v1/x`) ? answered.then(answer) : answered;
    }) as typeof globalThis.fetch;
    const of = new Servers({ server: HOME, fetch, memory: told([ONE]) });
    const error = await ask(of, "unless_late").catch((caught: unknown) => caught);
    expect(world.done).toHaveLength(expected);
    if (expected === 1) expect(error).toMatchObject({ name: "UnreachableError", late: true });
    else expect(error).toMatchObject({ at: ONE });
  });

  test("what may have been done, unless twice is as good as once", async () => {
    world.mood[HOME] = "breaks";
    await expect(ask(servers(), "no")).rejects.toThrow(UnreachableError);
    // A server that was never heard was asked first whether it is there, and was.
    expect(world.done).toEqual([`POST /v1/x @ ${HOME}`]);
    world.done = [];
    expect(await ask(servers(), "yes")).toMatchObject({ at: ONE });
    expect(world.done).toEqual([`POST /v1/x @ ${HOME}`, `POST /v1/x @ ${ONE}`]);
  });

  test("and all the same it goes to an edge that is there, when the configured one is not", async () => {
    world.mood[HOME] = "gone";
    expect(await ask(servers(), "no")).toMatchObject({ at: ONE });
    expect(world.done).toEqual([`POST /v1/x @ ${ONE}`]);
  });

  test.each([
    ["removing a member: a second time there is none", (api) => api.removeMember("g", "u")],
    ["a role: who stepped down may not a second time", (api) => api.setRole("g", "u", "member")],
    ["logging out: a second time the token is no good", (api) => api.logOut()],
  ] as [string, (api: ReturnType<typeof createApi>) => Promise<unknown>][])("%s", async (_, call) => {
    const tokens = () => Promise.resolve({ token: "t", device: "d1" });
    const api = createApi({ server: HOME, tokens, fetch: world.fetch, memory: told([ONE]) });
    world.mood[HOME] = "breaks";
    await expect(call(api)).rejects.toThrow(UnreachableError);
    expect(world.done).toHaveLength(1);
    // Pages of history, searches, profiles, mutes and the like are.
    expect(await api.members("group.g")).toMatchObject({ at: ONE });
  });

  test("a group is asked for again, as the same request", async () => {
    const bodies: unknown[] = [];
    const fetch = ((url: string, init: RequestInit) => {
      if (init.body !== undefined) bodies.push(JSON.parse(String(init.body)));
      return world.fetch(url, init);
    }) as typeof globalThis.fetch;
    const api = createApi({ server: HOME, tokens: async () => ({ token: "t" }), fetch, memory: told([ONE]) });
    world.mood[HOME] = "breaks";
    expect(await api.createGroup("Pond", ["u"])).toMatchObject({ at: ONE });
    expect(bodies).toHaveLength(2);
    expect(bodies[1]).toEqual(bodies[0]);
  });
});

describe("who else there is", () => {
  test("is asked after an answer, once a minute at most", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const of = new Servers({ server: HOME, fetch: world.fetch });
    const questions = () => world.asked.filter((asked) => asked.startsWith("edges")).length;
    await ask(of);
    await ask(of);
    expect(questions()).toBe(1);
    vi.advanceTimersByTime(60_001);
    await ask(of);
    expect(questions()).toBe(2);
    world.mood[HOME] = "gone";
    expect(await ask(of)).toMatchObject({ at: ONE });
  });

  test("tokens are refreshed at another edge, also by a page that is opened while the first one is gone", async () => {
    const factory = new IDBFactory();
    const tab = () => accounts({ server: HOME, fetch: world.fetch, vault: openVault(factory) });
    const account = await tab().logIn("ann", "a password");
    await vi.waitFor(async () =>
      expect(await openVault(factory).edges!(HOME)).toMatchObject({ edges: [ONE, TWO] }),
    );
    world.mood[HOME] = "gone";
    expect(await tab().tokens(account)({})).toMatchObject({ token: "access-2" });
    expect(world.done.at(-1)).toBe(`POST /v1/refresh @ ${ONE}`);
  });

  test("a refresh that was not answered in time is not shown to the next edge at once", async () => {
    heldTime();
    const own = accounts({ server: HOME, fetch: world.fetch, vault: openVault(new IDBFactory()) });
    const account = await own.logIn("ann", "a password");
    world.mood[HOME] = "still";
    const refreshed = own
      .tokens(account)({})
      .catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(20_000);
    expect(await refreshed).toBeInstanceOf(UnreachableError);
    expect(world.done.filter((done) => done.includes("refresh"))).toHaveLength(1);
  });

  test("names are believed for a week, in memory and in a page that stays open", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const of = new Servers({ server: HOME, fetch: world.fetch });
    await ask(of);
    world.mood[HOME] = "gone";
    expect(await ask(servers(told([ONE], 6 * DAY_MS)))).toMatchObject({ at: ONE });
    await expect(ask(servers(told([ONE], 8 * DAY_MS)))).rejects.toThrow(UnreachableError);
    vi.advanceTimersByTime(8 * DAY_MS);
    await expect(ask(of)).rejects.toThrow(UnreachableError);
    expect(world.done.filter((done) => done.endsWith(ONE))).toHaveLength(1);
  });

  test("a memory that is stuck keeps a request waiting for a moment, and the next ones not at all", async () => {
    heldTime();
    let reads = 0;
    const get = (): Promise<unknown> => {
      reads += 1;
      return new Promise(() => {});
    };
    const of = servers({ get });
    const first = ask(of);
    await vi.advanceTimersByTimeAsync(300);
    expect(await first).toMatchObject({ at: HOME });
    for (let count = 0; count < 3; count += 1) expect(await ask(of)).toMatchObject({ at: HOME });
    expect(reads).toBe(1);
  });

  test("a memory is read once for many requests, and again later", async () => {
    heldTime();
    const memory = told([ONE]);
    const get = vi.spyOn(memory, "get");
    const of = servers(memory);
    await Promise.all([ask(of), ask(of)]);
    await ask(of);
    expect(get).toHaveBeenCalledTimes(1);
    vi.advanceTimersByTime(5_001);
    await ask(of);
    expect(get).toHaveBeenCalledTimes(2);
  });
});

describe("a password", () => {
  const own = (factory = new IDBFactory()) =>
    accounts({ server: HOME, fetch: world.fetch, vault: openVault(factory) });

  /** A device that knows the edges, and that the configured server was gone a moment ago. */
  async function moved(factory = new IDBFactory()) {
    const here = own(factory);
    const account = await here.logIn("ann", "a password");
    await vi.waitFor(async () => expect(await openVault(factory).edges!(HOME)).toBeDefined());
    world.mood[HOME] = "gone";
    await here.tokens(account)({ refused: "access-1" });
    expect(world.done.at(-1)).toBe(`POST /v1/refresh @ ${ONE}`);
    world.asked = [];
    return here;
  }

  test("goes to the configured server, also if that was gone a moment ago", async () => {
    const here = await moved();
    world.mood[HOME] = "there";
    await here.logIn("bob", "a password");
    expect(world.asked.slice(0, 2)).toEqual([`edges @ ${HOME}`, `POST /v1/login @ ${HOME}`]);
  });

  test("goes to an edge only once the configured server was asked and did not answer", async () => {
    const here = await moved();
    await here.logIn("bob", "a password");
    expect(world.asked[0]).toBe(`edges @ ${HOME}`);
    expect(world.done.at(-1)).toBe(`POST /v1/login @ ${ONE}`);
  });

  test("of a device that the server may not know is shown to one server alone", async () => {
    const factory = new IDBFactory();
    const here = await moved(factory);
    world.mood = { [HOME]: "gone", [ONE]: "breaks", [TWO]: "breaks" };
    await expect(here.signUp("cleo", "a password")).rejects.toThrow(UnreachableError);
    world.done = [];
    await expect(here.logIn("cleo", "a password")).rejects.toThrow(UnreachableError);
    expect(world.done).toHaveLength(1);
  });
});

test("signing out takes its five seconds at most, whoever is silent, also with a token that has ended", async () => {
  const factory = new IDBFactory();
  const here = accounts({ server: HOME, fetch: world.fetch, vault: openVault(factory) });
  await here.logIn("ann", "a password");
  await vi.waitFor(async () => expect(await openVault(factory).edges!(HOME)).toBeDefined());
  world.mood = { [HOME]: "still", [ONE]: "still", [TWO]: "still" };
  const limits: number[] = [];
  const timeout = AbortSignal.timeout.bind(AbortSignal);
  vi.spyOn(AbortSignal, "timeout").mockImplementation((ms) => {
    limits.push(ms);
    return timeout(Math.min(ms, 20));
  });
  await here.logOut();
  expect(limits.length).toBeGreaterThan(0);
  expect(Math.max(...limits)).toBeLessThanOrEqual(5_000);
  expect(await here.current()).toBeUndefined();
});

/** Accounts: who is signed in, and a refresh token that is used once, however many ask. */
import { IDBFactory } from "fake-indexeddb";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import {
  type Accounts,
  type Tokens,
  accounts,
  openVault,
  ServerError,
  SignedOutError,
  UnreachableError,
} from "../../src/index.js";

const SERVER = "https://chat.example.com";
const MINUTES_MS = 60_000;

/** A server that gives out tokens; an old refresh token is good while its successor was not used. */
class TokenServer {
  asked: { path: string; body: Record<string, unknown> }[] = [];
  away = false;
  revoked = false;
  /** All handles are somebody's. */
  taken = false;
  lifeMs = 15 * MINUTES_MS;
  /** Waits before it answers. */
  gate: Promise<void> = Promise.resolve();
  #count = 0;
  #good = "";
  #before: string | undefined;

  readonly fetch = (async (url: string, init: RequestInit) => {
    const { pathname: path } = new URL(url);
    if (path === "/v1/edges") return Response.json([]);
    const body = init.body === undefined ? {} : (JSON.parse(String(init.body)) as Record<string, unknown>);
    this.asked.push({ path, body });
    await this.gate;
    if (this.away) throw new TypeError("fetch failed");
    if (path === "/v1/logout") return Response.json({});
    if (path === "/v1/signup" && this.taken)
      return Response.json(
        { code: "handle_taken", message: "take another", retryable: false },
        { status: 409 },
      );
    const shown = body["refresh_token"];
    if (path === "/v1/refresh" && (this.revoked || (shown !== this.#good && shown !== this.#before))) {
      this.revoked = true;
      return Response.json({ code: "revoked", message: "log in again", retryable: false }, { status: 401 });
    }
    // The one before may be shown again while this one was not.
    this.#before = shown as string | undefined;
    return Response.json(this.#tokens(path, body));
  }) as typeof fetch;

  paths(path: string): Record<string, unknown>[] {
    return this.asked.filter((asked) => asked.path === path).map(({ body }) => body);
  }

  #tokens(path: string, body: Record<string, unknown>): Tokens {
    this.#count += 1;
    this.#good = `refresh-${this.#count}`;
    const known = path === "/v1/login" ? (body["device"] as { id?: string }).id : undefined;
    const device = known ?? "device-1";
    return {
      user: { id: "u1", handle: "ann", name: "Ann" },
      device,
      access_token: `access-${this.#count}`,
      expires_at: Date.now() + this.lifeMs,
      refresh_token: this.#good,
    };
  }
}

/** Web Locks as browsers have them, for tabs that are instances here. */
function locks() {
  let last: Promise<unknown> = Promise.resolve();
  return {
    request: (_: string, work: () => Promise<unknown>) => {
      const turn = last.then(work);
      last = turn.catch(() => {});
      return turn;
    },
  };
}

let server: TokenServer;
let factory: IDBFactory;
/** A tab of this device. */
const tab = (): Accounts => accounts({ server: SERVER, fetch: server.fetch, vault: openVault(factory) });

beforeEach(() => {
  server = new TokenServer();
  factory = new IDBFactory();
  vi.stubGlobal("navigator", { userAgent: "Node.js/20", locks: locks() });
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

test("who signs up is signed in on this device, over restarts", async () => {
  expect(await tab().current()).toBeUndefined();
  const account = await tab().signUp("ann", "a password", "Ann");
  expect(account).toEqual({
    server: SERVER,
    user: { id: "u1", handle: "ann", name: "Ann" },
    device: "device-1",
  });
  expect(await tab().current()).toEqual(account);
  expect(server.paths("/v1/signup")).toMatchObject([{ handle: "ann", password: "a password", name: "Ann" }]);
});

test("a sign-up whose answer was lost is made again as the same device, also by the next page", async () => {
  server.away = true;
  await expect(tab().signUp("ann", "a password")).rejects.toThrow(UnreachableError);
  server.away = false;
  await tab().signUp("ann", "a password");
  const ids = server.paths("/v1/signup").map(({ device }) => (device as { id?: string }).id);
  expect(ids[0]).toMatch(/^[0-9a-z]{26}$/);
  expect(ids[1]).toBe(ids[0]);
});

test("a sign-up that is refused leaves no device behind, and none is forgotten for it", async () => {
  const devices = (path: string) => server.paths(path).map(({ device }) => (device as { id?: string }).id);
  server.taken = true;
  await expect(tab().signUp("ann", "a password")).rejects.toThrow(ServerError);
  await tab().logIn("ann", "a password");
  expect(devices("/v1/login")).toEqual([undefined]);
  // Refused again, it is still the device of that login.
  await expect(tab().signUp("ann", "a password")).rejects.toThrow(ServerError);
  await tab().logIn("ann", "a password");
  expect(devices("/v1/login")[1]).toBe("device-1");
});

test("a token is used while it is good, and of many who ask in many tabs one refreshes", async () => {
  const account = await tab().signUp("ann", "a password");
  const tabs = [tab(), tab(), tab()].map((own) => own.tokens(account));
  expect(await tabs[0]!({})).toMatchObject({ token: "access-1", device: "device-1" });
  const refused = { refused: "access-1" };
  const fresh = await Promise.all(tabs.flatMap((tokens) => [tokens(refused), tokens(refused), tokens({})]));
  expect(server.paths("/v1/refresh")).toEqual([{ refresh_token: "refresh-1" }]);
  expect(fresh.filter(({ token }) => token === "access-2").length).toBeGreaterThanOrEqual(6);
  expect(server.revoked).toBe(false);
});

test("new tokens are kept before anybody uses them", async () => {
  server.lifeMs = 1_000;
  const account = await tab().signUp("ann", "a password");
  const vault = openVault(factory);
  const kept: (string | undefined)[] = [];
  const setAccount = vault.setAccount.bind(vault);
  vault.setAccount = async (signedIn) => {
    await setAccount(signedIn);
    kept.push(signedIn?.refresh_token);
  };
  const own = accounts({ server: SERVER, fetch: server.fetch, vault });
  const { token } = await own.tokens(account)({});
  expect([token, kept]).toEqual(["access-2", ["refresh-2"]]);
});

test("a device whose clock is an hour fast refreshes no more often than others", async () => {
  const claims = (iat: number): string => `h.${btoa(JSON.stringify({ iat, exp: iat + 900 }))}.s`;
  const fetch = (async (url: string, init: RequestInit) => {
    const answer = await server.fetch(url, init);
    const tokens = (await answer.json()) as Tokens;
    return Response.json({ ...tokens, access_token: claims(1_000), expires_at: 1_900_000 });
  }) as typeof globalThis.fetch;
  const own = accounts({ server: SERVER, fetch, vault: openVault(factory) });
  const account = await own.signUp("ann", "a password");
  for (let count = 0; count < 3; count += 1) await own.tokens(account)({});
  expect(server.paths("/v1/refresh")).toEqual([]);
});

test("where the database cannot be opened, the account is kept for this run", async () => {
  const broken = { open: () => fail() } as unknown as IDBFactory;
  const own = accounts({ server: SERVER, fetch: server.fetch, vault: openVault(broken) });
  const account = await own.signUp("ann", "a password");
  expect(await own.current()).toEqual(account);
});

function fail(): never {
  throw new DOMException("not in private windows", "InvalidStateError");
}

test("a device without room: fresh tokens are used all the same, and the next page is still signed in", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  server.lifeMs = 1_000;
  const account = await tab().signUp("ann", "a password");
  const vault = openVault(factory);
  const setAccount = vault.setAccount.bind(vault);
  let full = true;
  vault.setAccount = (signedIn) =>
    full ? Promise.reject(new DOMException("no room", "QuotaExceededError")) : setAccount(signedIn);
  const own = accounts({ server: SERVER, fetch: server.fetch, vault });
  for (const token of ["access-2", "access-3"])
    expect(await own.tokens(account)({})).toMatchObject({ token });
  // What is kept was never made useless.
  expect(server.paths("/v1/refresh").map((body) => body["refresh_token"])).toEqual([
    "refresh-1",
    "refresh-1",
  ]);
  expect(await tab().tokens(account)({})).toMatchObject({ token: "access-4" });
  expect(server.revoked).toBe(false);
  // And this tab goes on from there.
  expect(await own.tokens(account)({})).toMatchObject({ token: "access-5" });
  full = false;
  await vi.advanceTimersByTimeAsync(10_000);
  await vi.waitFor(async () =>
    expect(await openVault(factory).account()).toMatchObject({ refresh_token: "refresh-5" }),
  );
  expect(await own.tokens(account)({})).toMatchObject({ token: "access-6" });
  expect(server.paths("/v1/refresh").at(-1)).toEqual({ refresh_token: "refresh-5" });
  expect(server.revoked).toBe(false);
});

test("a server that is away is not the end; one that refuses is", async () => {
  server.lifeMs = 1_000;
  const own = tab();
  const account = await own.signUp("ann", "a password");
  server.away = true;
  await expect(own.tokens(account)({})).rejects.toThrow(UnreachableError);
  server.away = false;
  expect(await own.tokens(account)({})).toMatchObject({ token: "access-2" });
  server.revoked = true;
  // Its device was signed out, perhaps while no page was open: that is not to be taken for a session that ended.
  await expect(own.tokens(account)({})).rejects.toMatchObject({ name: "SignedOutError", revoked: true });
  await own.logOut();
  await expect(own.tokens(account)({})).rejects.toMatchObject({ name: "SignedOutError", revoked: false });
});

test("logging in again is the same device; after logging out it is a new one", async () => {
  const own = tab();
  await own.signUp("ann", "a password");
  await own.logIn("Ann", "a password");
  expect(server.paths("/v1/login")[0]!["device"]).toMatchObject({ id: "device-1" });
  await own.logOut();
  expect(await tab().current()).toBeUndefined();
  expect(server.paths("/v1/logout")).toHaveLength(1);
  await own.logIn("ann", "a password");
  expect(server.paths("/v1/login")[1]!["device"]).not.toHaveProperty("id");
});

test("whoever cannot reach the server is logged out here all the same, and the source says so", async () => {
  const own = tab();
  const account = await own.signUp("ann", "a password");
  server.away = true;
  await own.logOut();
  expect(await own.current()).toBeUndefined();
  await expect(own.tokens(account)({})).rejects.toThrow(SignedOutError);
});

test("logging out one session leaves the one that took its place", async () => {
  const own = tab();
  const account = await own.signUp("ann", "a password");
  await own.logOut({ ...account, device: "device-0" });
  expect(await own.current()).toEqual(account);
  expect(server.paths("/v1/logout")).toHaveLength(0);
  await own.logOut(account);
  expect(await own.current()).toBeUndefined();
});

test("the tokens of one account are not those of the next", async () => {
  const own = tab();
  const first = await own.signUp("ann", "a password");
  const other = { ...first, user: { ...first.user, id: "u2" } };
  await expect(own.tokens(other)({})).rejects.toThrow(SignedOutError);
});

test("other tabs hear of sign-in and sign-out", async () => {
  const [here, there] = [tab(), tab()];
  const heard: (string | undefined)[] = [];
  const undo = there.subscribe((account) => heard.push(account?.user.id));
  await here.signUp("ann", "a password");
  await expect.poll(() => heard).toEqual(["u1"]);
  await here.logOut();
  await expect.poll(() => heard).toEqual(["u1", undefined]);
  undo();
});

import type { Account, Accounts, Client, Connection } from "natterjack-sdk";
import { beforeEach, describe, expect, it, vi } from "vitest";

import type { App as Page } from "../../src/lib/app.svelte.js";

/** A client of which only start, stop and the connection are used. */
class FakeClient {
  connection: Connection = { state: "connecting", since: 0 } as Connection;
  readonly #listeners = new Set<(connection: Connection) => void>();
  started = 0;
  stopped = 0;
  /** Resolves when a stop may end. */
  mayStop: Promise<void> = Promise.resolve();

  async start(): Promise<void> {
    this.started++;
  }
  async stop(): Promise<void> {
    this.stopped++;
    await this.mayStop;
  }
  on(_type: string, listener: (connection: Connection) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
  end(reason: Connection["reason"]): void {
    this.connection = { state: "stopped", reason, since: 0 } as Connection;
    for (const listener of this.#listeners) listener(this.connection);
  }
}

const account = (user: string, device: string): Account =>
  ({ server: "https://chat.example.com", user: { id: user, name: user }, device }) as Account;

/** The accounts of the device, which another tab changes too. */
class FakeAccounts {
  now: Account | undefined;
  #listener: (() => void) | undefined;

  current = async (): Promise<Account | undefined> => this.now;
  subscribe = (listener: () => void): (() => void) => {
    this.#listener = listener;
    return () => undefined;
  };
  logOut = async (only?: Account): Promise<void> => {
    if (!only || only.device === this.now?.device) this.now = undefined;
  };
  /** What another tab does. */
  become(now: Account | undefined): void {
    this.now = now;
    this.#listener?.();
  }
}

let accounts: FakeAccounts;
let clients: FakeClient[];
let forgotten: string[];
let app: Page;

beforeEach(async () => {
  // The page's address and storage: this is Node.
  const at = { pathname: "/", search: "", href: "https://chat.example.com/" };
  const kept = new Map<string, string>();
  vi.stubGlobal("location", at);
  vi.stubGlobal("history", {
    state: null,
    replaceState: (_state: unknown, _title: string, to: string) => Object.assign(at, { pathname: to }),
  });
  vi.stubGlobal("localStorage", {
    getItem: (name: string) => kept.get(name) ?? null,
    setItem: (name: string, value: string) => void kept.set(name, value),
    removeItem: (name: string) => void kept.delete(name),
  });
  vi.resetModules();
  const { App } = await import("../../src/lib/app.svelte.js");
  accounts = new FakeAccounts();
  clients = [];
  forgotten = [];
  app = new App(accounts as unknown as Accounts, {
    make: () => {
      const client = new FakeClient();
      clients.push(client);
      return client as unknown as Client;
    },
    forget: async (user) => void forgotten.push(user),
  });
});

const session = () => {
  if (app.phase.at !== "in") throw new Error(`the page is ${app.phase.at}`);
  return app.phase.session;
};

/** Signs in here. */
async function logIn(as: Account): Promise<void> {
  accounts.now = as;
  await app.enter(as);
}

describe("a device that is revoked", () => {
  it("keeps nothing, from that moment on", async () => {
    accounts.now = account("ann", "1");
    await app.start();
    clients[0]!.end("revoked");
    await vi.waitFor(() => expect(forgotten).toEqual(["ann"]));
    // The page says why before it goes.
    expect(app.phase.at).toBe("in");
  });

  it("keeps what a newer login of the same user has written", async () => {
    accounts.now = account("ann", "1");
    await app.start();
    const current = vi.spyOn(accounts, "current");
    accounts.now = account("ann", "2");
    clients[0]!.end("revoked");
    await vi.waitFor(() => expect(current).toHaveBeenCalled());
    await current.mock.results[0]!.value;
    await session().end({ forget: true });
    expect(forgotten).toEqual([]);
    expect(session().account.device).toBe("2");
  });
});

describe("one whose session ended", () => {
  it("finds what was kept, and somebody else does not", async () => {
    await app.start();
    await logIn(account("ann", "1"));
    clients[0]!.end("signed_out");
    await session().end();
    await logIn(account("ann", "2"));
    expect(forgotten).toEqual([]);
    await session().end();
    await logIn(account("bob", "3"));
    await vi.waitFor(() => expect(forgotten).toEqual(["ann"]));
    await session().end();
    await logIn(account("ann", "4"));
    await vi.waitFor(() => expect(forgotten).toEqual(["ann", "bob"]));
  });
});

describe("a tab that slept while somebody logged out and in again", () => {
  it("goes on with the new session of the same user", async () => {
    accounts.now = account("ann", "1");
    await app.start();
    accounts.become(account("ann", "2"));
    await vi.waitFor(() => expect(session().account.device).toBe("2"));
    expect(clients.map((client) => client.stopped)).toEqual([1, 0]);
  });

  it("ends its own session alone", async () => {
    accounts.now = account("ann", "1");
    await app.start();
    const old = session();
    accounts.now = account("ann", "2");
    await old.end();
    expect(accounts.now?.device).toBe("2");
    expect(session().account.device).toBe("2");
  });

  it("does not leave when it hears late of the log-out", async () => {
    accounts.now = account("ann", "1");
    await app.start();
    let resolve = (): void => undefined;
    clients[0]!.mayStop = new Promise((done) => (resolve = done));
    accounts.become(undefined);
    await vi.waitFor(() => expect(clients[0]!.stopped).toBe(1));
    accounts.become(account("ann", "2"));
    resolve();
    await vi.waitFor(() => expect(app.phase.at === "in" && session().account.device).toBe("2"));
    expect(location.pathname).toBe("/");
  });
});

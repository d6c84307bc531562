/**
 * The account that is signed in on this device, and tokens that stay fresh.
 *
 * A refresh token works once: using it a second time tells the server that somebody else has a copy, and it signs
 * the device out. So the tabs of an origin take turns, each looks first whether another one has refreshed, and the
 * new tokens are kept before anybody uses them, unless the device has no room.
 *
 * @module
 */
import { type Repeat, Servers } from "../api/servers.js";
import { ServerError, SignedOutError } from "../errors.js";
import { makeUlid } from "../ulid.js";
import type { NamedEdges } from "../engine/named.js";
import type { DeviceId, HelloDevice, Tokens } from "../wire.js";
import type { Account, Accounts } from "./account.js";
import { deviceName } from "./device.js";
import { lifetimeMs } from "./jwt.js";
import { Keeper } from "./keeper.js";
import type { AccessToken, TokenSource } from "./tokens.js";
import { type SignedIn, type Vault, openVault } from "./vault.js";

/** A token that ends within this time, by this device's clock, is renewed before it is used. */
const LEAD_MS = 30_000;
/** How long the server may take; a password is checked slowly on purpose. */
const TIMEOUT_MS = 20_000;
/** How long signing out waits for the server to hear of it. */
const LOG_OUT_TIMEOUT_MS = 5_000;
/** Lock and channel of all tabs. */
const SHARED = "natterjack-accounts";

/** What accounts are made of. */
export interface AccountsOptions {
  /** Where to sign in: `https://chat.example.com`. */
  server: string;
  /** How the device is called in the list of one's devices; "Firefox on Linux" and the like without. */
  device?: Omit<HelloDevice, "id">;
  fetch?: typeof fetch;
  /** Whether edges are asked for (`GET /v1/edges`), so that one of them does when `server` is gone; true. */
  discover?: boolean;
  /** Where to keep the account; without one, an IndexedDB of its own where there is one, else memory. */
  vault?: Vault;
}

/** The accounts of a server on this device. */
export function accounts(options: AccountsOptions): Accounts {
  return new DeviceAccounts(options);
}

class DeviceAccounts implements Accounts {
  readonly #options: AccountsOptions;
  readonly #vault: Vault;
  readonly #server: string;
  readonly #listeners = new Set<(account: Account | undefined) => void>();
  readonly #turns = new Turns();
  readonly #keeper: Keeper;
  /** By address: whoever is signed in may be so at another one than that of the next sign-in. */
  readonly #servers = new Map<string, Servers>();
  #channel: BroadcastChannel | undefined;

  constructor(options: AccountsOptions) {
    this.#options = options;
    this.#server = options.server.replace(/\/+$/, "");
    this.#vault = options.vault ?? openVault();
    this.#keeper = new Keeper(this.#vault, (work) => this.#turns.take(work));
  }

  async current(): Promise<Account | undefined> {
    const signedIn = await this.#keeper.account();
    return signedIn === undefined ? undefined : shown(signedIn);
  }

  signUp(handle: string, password: string, name?: string): Promise<Account> {
    return this.#turns.take(async () => {
      // With the same device, the same again is answered as the first time. Kept before it is asked.
      const id = (await this.#device(handle)) ?? (await this.#device(hopedFor(handle))) ?? makeUlid();
      await this.#setDevice(hopedFor(handle), id);
      const device = { id, ...this.#named() };
      const body = { handle, password, ...(name !== undefined && { name }), device };
      try {
        return await this.#signIn(handle, await this.#enter("/v1/signup", body, "unless_late"));
      } catch (error) {
        // Refused for good: there is no such device, and none that a login should name.
        if (error instanceof ServerError && !error.retryable)
          await this.#setDevice(hopedFor(handle), undefined);
        throw error;
      }
    });
  }

  logIn(handle: string, password: string): Promise<Account> {
    return this.#turns.take(async () => {
      const known = await this.#device(handle);
      // That of a sign-up without an answer: perhaps the server knows it.
      const id = known ?? (await this.#device(hopedFor(handle)));
      const device = { ...(id !== undefined && { id }), ...this.#named() };
      // Once more, it would be the same device only if the server knows it.
      const repeat = known === undefined ? "no" : "unless_late";
      return this.#signIn(handle, await this.#enter("/v1/login", { handle, password, device }, repeat));
    });
  }

  tokens(account: Account): TokenSource {
    return ({ refused }) => this.#turns.take(() => this.#token(account, refused));
  }

  async logOut(only?: Account): Promise<void> {
    const isOut = await this.#turns.take(async () => {
      const signedIn = await this.#keeper.account();
      if (signedIn === undefined) return true;
      if (only !== undefined && !isOf(signedIn, only)) return false;
      await this.#tellServer(signedIn);
      await this.#keeper.forget();
      await this.#forgetDevice(signedIn);
      return true;
    });
    if (isOut) this.#tell();
  }

  subscribe(listener: (account: Account | undefined) => void): () => void {
    this.#listeners.add(listener);
    this.#listen();
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size > 0) return;
      this.#channel?.close();
      this.#channel = undefined;
    };
  }

  async #signIn(handle: string, tokens: Tokens): Promise<Account> {
    const signedIn = received(tokens, this.#server);
    await this.#keeper.keep(signedIn);
    await this.#setDevice(handle, tokens.device);
    await this.#setDevice(hopedFor(handle), undefined);
    this.#tell();
    return shown(signedIn);
  }

  /** The token there is, or a new one if it is about to end or was refused. */
  async #token(account: Account, refused: string | undefined): Promise<AccessToken> {
    const signedIn = await this.#keeper.account();
    if (signedIn === undefined || !isOf(signedIn, account)) {
      throw new SignedOutError("this account is signed in no more: log in again");
    }
    const good = signedIn.access_token !== refused && isGood(signedIn);
    return access(good ? signedIn : await this.#refresh(signedIn));
  }

  async #refresh(signedIn: SignedIn, timeoutMs = TIMEOUT_MS): Promise<SignedIn> {
    try {
      const body = { refresh_token: this.#keeper.refreshToken(signedIn) };
      // The same one may be shown again, but not often: a server that is slow has likely taken it.
      const going = { path: "/v1/refresh", repeat: "unless_late", method: "POST", body, timeoutMs } as const;
      const tokens = (await this.#at(signedIn.server).ask(going)) as Tokens;
      const fresh = received(tokens, signedIn.server);
      await this.#keeper.keep(fresh);
      return fresh;
    } catch (error) {
      if (!(error instanceof ServerError) || error.retryable) throw error;
      // Whoever is signed out by the server stays to be seen as such until they log in again.
      throw new SignedOutError(error.message, { cause: error, revoked: error.code === "revoked" });
    }
  }

  async #tellServer(signedIn: SignedIn): Promise<void> {
    const endsAt = performance.now() + LOG_OUT_TIMEOUT_MS;
    try {
      const { server, access_token } = isGood(signedIn)
        ? signedIn
        : await this.#refresh(signedIn, LOG_OUT_TIMEOUT_MS);
      const headers = { authorization: `Bearer ${access_token}` };
      const timeoutMs = Math.max(endsAt - performance.now(), 0);
      const going = { path: "/v1/logout", repeat: "no", method: "POST", headers, timeoutMs } as const;
      await this.#at(server).ask(going);
    } catch {
      // Away, or signed out already. The token ends by itself, and the device can be revoked from another one.
    }
  }

  /** A device that was signed out is none any more. */
  async #forgetDevice({ server, user }: SignedIn): Promise<void> {
    if (user.handle !== undefined) await this.#vault.setDevice(server, user.handle, undefined);
  }

  /** With a password: to an edge that was named only once the configured server was asked and did not answer. */
  #enter(path: string, body: unknown, repeat: Repeat): Promise<Tokens> {
    const going = { path, repeat, method: "POST", body, timeoutMs: TIMEOUT_MS, configuredFirst: true };
    return this.#at(this.#server).ask(going) as Promise<Tokens>;
  }

  #device(handle: string): Promise<DeviceId | undefined> {
    return this.#vault.device(this.#server, handle);
  }

  /** Without it, the next login is another device, and no worse. */
  async #setDevice(handle: string, device: DeviceId | undefined): Promise<void> {
    await this.#vault.setDevice(this.#server, handle, device).catch(() => {});
  }

  #at(server: string): Servers {
    const { discover, fetch } = this.#options;
    const vault = this.#vault;
    const memory = {
      get: async () => vault.edges?.(server),
      set: async (edges: NamedEdges) => vault.setEdges?.(server, edges),
    };
    const servers = this.#servers.get(server) ?? new Servers({ server, fetch, discover, memory });
    this.#servers.set(server, servers);
    return servers;
  }

  #named(): Omit<HelloDevice, "id"> {
    return this.#options.device ?? deviceName();
  }

  #tell(): void {
    if (typeof BroadcastChannel === "undefined") return;
    const channel = this.#channel ?? new BroadcastChannel(SHARED);
    channel.postMessage("changed");
    if (channel !== this.#channel) channel.close();
  }

  #listen(): void {
    if (this.#channel !== undefined || typeof BroadcastChannel === "undefined") return;
    this.#channel = new BroadcastChannel(SHARED);
    this.#channel.onmessage = async () => {
      const account = await this.current();
      for (const listener of this.#listeners) listener(account);
    };
    // In Node, to listen is no reason to stay alive.
    (this.#channel as { unref?: () => void }).unref?.();
  }
}

/** One at a time: in this tab by a chain, over all tabs by a Web Lock where there are any. */
class Turns {
  #last: Promise<unknown> = Promise.resolve();

  take<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(() => locked(work));
    this.#last = turn.catch(() => {});
    return turn;
  }
}

function locked<T>(work: () => Promise<T>): Promise<T> {
  const locks = typeof navigator === "undefined" ? undefined : (navigator.locks as LockManager | undefined);
  return locks === undefined ? work() : (locks.request(SHARED, work) as Promise<T>);
}

/** Beside what the vault knows by handles, which have no spaces: the device of a sign-up that was not answered. */
function hopedFor(handle: string): string {
  return `sign-up ${handle}`;
}

/** With the time until which the token is good by this device's clock: it lasts as long, wherever the hands stand. */
function received(tokens: Tokens, server: string): SignedIn {
  const lifeMs = lifetimeMs(tokens.access_token);
  return { ...tokens, server, good_until: lifeMs === undefined ? tokens.expires_at : Date.now() + lifeMs };
}

function isGood({ good_until }: SignedIn): boolean {
  return good_until > Date.now() + LEAD_MS;
}

/** Whether it is the same user on the same device, and not one who logged in here since. */
function isOf(signedIn: SignedIn, account: Account): boolean {
  return signedIn.user.id === account.user.id && signedIn.device === account.device;
}

function shown({ server, user, device }: SignedIn): Account {
  return { server, user, device };
}

function access({ access_token, expires_at, device }: SignedIn): AccessToken {
  return { token: access_token, expiresAt: expires_at, device };
}

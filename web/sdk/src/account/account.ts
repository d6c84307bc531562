/**
 * Own accounts: sign-up and login, and a token source that rotates the refresh token.
 *
 * @module
 */
import type { DeviceId, Profile } from "../wire.js";
import type { TokenSource } from "./tokens.js";

/** Who is signed in on this device, as it is kept. */
export interface Account {
  server: string;
  user: Profile;
  device: DeviceId;
}

/**
 * The signed-in account of this device, kept in IndexedDB (or memory), one at a time.
 *
 * A refresh token works once, and using one twice revokes the device; so tabs take turns (Web Locks), and the new
 * one is kept before it is used.
 */
export interface Accounts {
  /** Who is signed in. */
  current(): Promise<Account | undefined>;
  signUp(handle: string, password: string, name?: string): Promise<Account>;
  logIn(handle: string, password: string): Promise<Account>;
  /** A source for {@link ClientOptions.tokens}. */
  tokens(account: Account): TokenSource;
  /**
   * Forgets the account on this device; whether the server could be told does not matter. With `only`, nothing
   * happens if another account, or the same one as another device, was signed in here since.
   */
  logOut(only?: Account): Promise<void>;
  /** Hears of sign-in and sign-out in another tab. */
  subscribe(listener: (account: Account | undefined) => void): () => void;
}

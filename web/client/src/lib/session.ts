/**
 * Who is signed in, for every component below the shell: `const { client } = getSession()`.
 *
 * @module
 */
import type { Account, Accounts, Client, UserId } from "natterjack-sdk";
import { createContext } from "svelte";

/** A signed-in user's client and account. */
export interface Session {
  readonly client: Client;
  readonly account: Account;
  readonly accounts: Accounts;
  /** One's own id. */
  readonly me: UserId;
  /**
   * Leaves for the sign-in page: the client is stopped, the account forgotten (the server is told if it can be),
   * and with `forget` what this device keeps of the user as well. Whoever logged in here since, in another tab,
   * stays, and is who the page goes on with.
   */
  end(options?: { forget?: boolean }): Promise<void>;
}

export const [getSession, setSession] = createContext<Session>();

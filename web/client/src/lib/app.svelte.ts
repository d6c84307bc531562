/**
 * The page's life: opening, signed out, signed in, and the ways between them.
 *
 * @module
 */
import type { Account, Accounts, Client } from "natterjack-sdk";

import { conversationOf, href, parse } from "./route.js";
import { router } from "./router.svelte.js";
import type { Session } from "./session.js";

/** Where the page is in its life. */
export type Phase = { at: "opening" } | { at: "out" } | { at: "in"; session: Session };

/** What a session is made with: a client that is not started, and the end of what it keeps on this device. */
export interface Made {
  client: Client;
  forget(): Promise<void>;
}

/** The page's life. */
export class App {
  readonly accounts: Accounts;
  readonly #make: (account: Account) => Made;
  /** Where somebody wanted to go who had to sign in first. */
  #wanted = "/";
  #phase = $state.raw<Phase>({ at: "opening" });

  constructor(accounts: Accounts, make: (account: Account) => Made) {
    this.accounts = accounts;
    this.#make = make;
  }

  /** Reactive. */
  get phase(): Phase {
    return this.#phase;
  }

  /** Looks who is signed in, and follows other tabs from then on. */
  async start(): Promise<void> {
    this.accounts.subscribe((account) => void this.#follow(account));
    const account = await this.accounts.current();
    if (account) await this.enter(account);
    else this.#leave();
  }

  /** Somebody signed in, here or in another tab. */
  async enter(account: Account): Promise<void> {
    if (this.#phase.at === "in" && this.#phase.session.me === account.user.id) return;
    await this.#stop();
    const { client, forget } = this.#make(account);
    const session: Session = {
      client,
      account,
      accounts: this.accounts,
      me: account.user.id,
      end: async (options = {}) => {
        await client.stop();
        await this.accounts.logOut();
        if (options.forget) await forget();
        this.#leave();
      },
    };
    // What this device keeps is there at once; the connection follows, and says for itself how it fares.
    client.start().catch((error: unknown) => console.error("the client did not start:", error));
    this.#phase = { at: "in", session };
    const { name } = router.route;
    if (name === "login" || name === "signup")
      router.go(parse(new URL(this.#wanted, location.href)), { replace: true });
  }

  async #follow(account: Account | undefined): Promise<void> {
    if (account) return this.enter(account);
    if (this.#phase.at !== "in") return;
    await this.#stop();
    this.#leave();
  }

  async #stop(): Promise<void> {
    if (this.#phase.at === "in") await this.#phase.session.client.stop();
  }

  #leave(): void {
    const { route } = router;
    if (route.name !== "login" && route.name !== "signup") {
      // Whoever signs in next need not be whoever was here: only a link that was just opened is kept.
      this.#wanted = this.#phase.at === "opening" || !conversationOf(route) ? href(route) : "/";
      router.go({ name: "login" }, { replace: true });
    }
    this.#phase = { at: "out" };
  }
}

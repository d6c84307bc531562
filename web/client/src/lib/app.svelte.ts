/**
 * The page's life: opening, signed out, signed in, and the ways between them.
 *
 * @module
 */
import type { Account, Accounts, Client, UserId } from "natterjack-sdk";

import { keepOnly } from "./kept.js";
import { whenRevoked } from "./revoked.js";
import { conversationOf, href, parse } from "./route.js";
import { router } from "./router.svelte.js";
import type { Session } from "./session.js";

/** Where the page is in its life. */
export type Phase = { at: "opening" } | { at: "out" } | { at: "in"; session: Session };

/** What sessions are made with. */
export interface Parts {
  /** A client that is not started. */
  make(account: Account): Client;
  /** Removes what this device keeps of a user. */
  forget(user: UserId): Promise<void>;
}

/** The page's life. */
export class App {
  readonly accounts: Accounts;
  readonly #parts: Parts;
  /** Where somebody wanted to go who had to sign in first. */
  #wanted = "/";
  #phase = $state.raw<Phase>({ at: "opening" });
  /** Ways from one phase to another go one after the other: each begins where the last one ended. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(accounts: Accounts, parts: Parts) {
    this.accounts = accounts;
    this.#parts = parts;
  }

  /** Reactive. */
  get phase(): Phase {
    return this.#phase;
  }

  /** Looks who is signed in, and follows other tabs from then on. */
  async start(): Promise<void> {
    this.accounts.subscribe(() => void this.#turn(() => this.#follow()));
    await this.#turn(() => this.#follow());
  }

  /** Somebody signed in, here or in another tab. */
  enter(account: Account): Promise<void> {
    return this.#turn(() => this.#enter(account));
  }

  #turn(work: () => Promise<void>): Promise<void> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  /** To whoever is signed in now: what was told before may be over, as in a tab that slept. */
  async #follow(): Promise<void> {
    const account = await this.accounts.current();
    if (account) return this.#enter(account);
    if (this.#phase.at === "out") return;
    await this.#stop();
    this.#leave();
  }

  async #enter(account: Account): Promise<void> {
    if (this.#phase.at === "in" && isSame(this.#phase.session.account, account)) return;
    await this.#stop();
    const me = account.user.id;
    void keepOnly(me, (user) => this.#parts.forget(user));
    const client = this.#parts.make(account);
    const session: Session = {
      client,
      account,
      accounts: this.accounts,
      me,
      end: (options = {}) => this.#turn(() => this.#end(session, options.forget ?? false)),
    };
    // Beside the turns: a frozen tab may hold the data for long.
    whenRevoked(client, () => {
      this.#forget(account).catch((error: unknown) =>
        console.error("the data of a device that was signed out stays:", error),
      );
    });
    // What this device keeps is there at once; the connection follows, and says for itself how it fares.
    client.start().catch((error: unknown) => console.error("the client did not start:", error));
    this.#phase = { at: "in", session };
    const { name } = router.route;
    if (name === "login" || name === "signup")
      router.go(parse(new URL(this.#wanted, location.href)), { replace: true });
  }

  async #end({ client, account }: Session, forget: boolean): Promise<void> {
    await client.stop();
    await this.accounts.logOut(account);
    if (forget) await this.#forget(account);
    await this.#follow();
  }

  /** Forgets the user's data, unless they have logged in here anew, and it is that session's. */
  async #forget(account: Account): Promise<void> {
    const now = await this.accounts.current();
    if (now?.user.id === account.user.id && now.device !== account.device) return;
    await this.#parts.forget(account.user.id);
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

function isSame(a: Account, b: Account): boolean {
  return a.user.id === b.user.id && a.device === b.device;
}

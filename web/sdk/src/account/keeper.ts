/**
 * The account in the vault, and in memory what the vault cannot keep for now (no room on the device).
 *
 * While the vault still has the refresh token before the last, that one is shown to the server again: it takes it as
 * long as its successor was not used, and so whoever opens the page next is still signed in.
 *
 * @module
 */
import type { SignedIn, Vault } from "./vault.js";

/** How long until what could not be kept is tried again. */
const AGAIN_MS = 10_000;

/** One tab's way to the vault. All but {@link Keeper.account} is called in turn with the other tabs. */
export class Keeper {
  readonly #vault: Vault;
  readonly #inTurn: (work: () => Promise<void>) => Promise<void>;
  /** Not in the vault, which has the refresh token `over` instead. */
  #unkept: { account: SignedIn; over: string | undefined } | undefined;
  #again: ReturnType<typeof setTimeout> | undefined;

  /** @param inTurn - Does work while no other tab does any. */
  constructor(vault: Vault, inTurn: (work: () => Promise<void>) => Promise<void>) {
    this.#vault = vault;
    this.#inTurn = inTurn;
  }

  /** Who is signed in, with the newest tokens. */
  async account(): Promise<SignedIn | undefined> {
    const kept = await this.#vault.account();
    // Another tab may have gone on since.
    if (this.#unkept !== undefined && this.#unkept.over !== kept?.refresh_token) this.#unkept = undefined;
    return this.#unkept?.account ?? kept;
  }

  /** The refresh token to show for new tokens of that account. */
  refreshToken(account: SignedIn): string {
    return this.#unkept?.over ?? account.refresh_token;
  }

  /** Resolves once it is in the vault, or known to wait for that. */
  async keep(account: SignedIn): Promise<void> {
    const before = await this.#vault.account().catch(() => undefined);
    this.#unkept = { account, over: before?.device === account.device ? before.refresh_token : undefined };
    await this.#write();
    // Another account is not signed in any more, whether or not there is room for this one.
    if (this.#unkept !== undefined && this.#unkept.over === undefined && before !== undefined)
      await this.#vault.setAccount(undefined).catch(ignore);
  }

  /** Nobody is signed in any more. */
  async forget(): Promise<void> {
    this.#unkept = undefined;
    clearTimeout(this.#again);
    await this.#vault.setAccount(undefined);
  }

  async #write(): Promise<void> {
    clearTimeout(this.#again);
    if (this.#unkept === undefined) return;
    try {
      await this.#vault.setAccount(this.#unkept.account);
      this.#unkept = undefined;
    } catch {
      this.#again = setTimeout(() => void this.#inTurn(() => this.#retry()).catch(ignore), AGAIN_MS);
      // In Node, that is no reason to stay alive.
      (this.#again as { unref?: () => void }).unref?.();
    }
  }

  async #retry(): Promise<void> {
    await this.account();
    await this.#write();
  }
}

function ignore(): void {
  // Tried again later.
}

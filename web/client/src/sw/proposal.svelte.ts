/**
 * The proposal to turn on notifications: once, after the first message that one sent, and never again after an answer.
 */
import type { Client } from "natterjack-sdk";

import { read, write } from "../lib/storage.js";
import type { Push } from "./push.js";

/** Kept over restarts: this browser's person has answered. */
const ANSWERED = "push-proposed";

/** The proposal to one user. */
export class Proposal {
  /** Whether it is on the screen. */
  isShown = $state(false);
  /** The browser could not subscribe: it may be tried again. */
  problem = $state(false);

  constructor(
    private readonly client: Pick<Client, "on">,
    private readonly push: Pick<Push, "isWorthProposing" | "enable">,
  ) {}

  /** Waits for a message to be sent, until the returned function is called. */
  listen(): () => void {
    if (read(ANSWERED) !== null) return () => {};
    return this.client.on("outbox", ({ entry, done }) => {
      if (entry.content.kind !== "text" || !done || done === "discarded") return;
      if (read(ANSWERED) === null) void this.propose();
    });
  }

  /** From a click. */
  async accept(): Promise<void> {
    try {
      await this.push.enable();
      this.dismiss();
    } catch {
      this.problem = true;
    }
  }

  /** No, or done. */
  dismiss(): void {
    write(ANSWERED, "yes");
    this.isShown = false;
  }

  private async propose(): Promise<void> {
    if (await this.push.isWorthProposing()) this.isShown = true;
  }
}

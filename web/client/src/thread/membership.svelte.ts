/**
 * Whether one is still in a group, and with which role.
 *
 * @module
 */
import { type Client, type Conversation, type Role, ServerError } from "natterjack-sdk";

import { live } from "../lib/model.js";

/** One's place in a conversation. Reactive. */
export class Membership {
  readonly #conversation: Conversation;
  readonly #entries: {
    readonly current: readonly { conversation: Conversation; summary: { role?: Role } }[];
  };
  #refused = $state(false);
  #listed = false;

  constructor(client: Client, conversation: Conversation) {
    this.#conversation = conversation;
    this.#entries = live(client.conversations);
    $effect(() => {
      if (!conversation.startsWith("group.")) return;
      if (this.#entry) {
        this.#listed = true;
        return;
      }
      if (this.#listed) {
        // It was in the list and has gone from it.
        this.#refused = true;
        return;
      }
      // Not in the list: not loaded yet, or no longer a member. The server knows.
      client.api.conversation(conversation).then(
        () => (this.#refused = false),
        (error: unknown) => {
          this.#refused = error instanceof ServerError && ["not_member", "not_found"].includes(error.code);
        },
      );
    });
  }

  get #entry(): { summary: { role?: Role } } | undefined {
    return this.#entries.current.find((entry) => entry.conversation === this.#conversation);
  }

  /** The server says that one is not in the group. */
  get out(): boolean {
    return this.#refused && !this.#entry;
  }

  /** Whether one may delete what others wrote. */
  get moderates(): boolean {
    const role = this.#entry?.summary.role;
    return role === "admin" || role === "owner";
  }
}

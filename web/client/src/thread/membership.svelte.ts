/**
 * Whether one is still in a group, and with which role.
 *
 * @module
 */
import type { Client, Conversation, ConversationEntry, Role } from "natterjack-sdk";

import { live } from "../lib/model.js";
import { askWhetherIn } from "./standing.js";

/** One's place in a conversation. Reactive; made while a component is. */
export class Membership {
  readonly #conversation: Conversation;
  readonly #entries: { readonly current: readonly ConversationEntry[] };
  readonly #entry = $derived.by(() =>
    this.#entries.current.find((entry) => entry.conversation === this.#conversation),
  );
  /** The list changes with each message anywhere; this seldom does. */
  readonly #listed = $derived.by(() => this.#entry !== undefined);
  #refused = $state(false);
  #wasListed = false;

  constructor(client: Client, conversation: Conversation) {
    this.#conversation = conversation;
    this.#entries = live(client.conversations);
    $effect(() => {
      if (!conversation.startsWith("group.")) return undefined;
      if (this.#listed) {
        this.#wasListed = true;
        return undefined;
      }
      if (this.#wasListed) {
        // It was in the list and has gone from it.
        this.#refused = true;
        return undefined;
      }
      // Not in the list: not loaded yet, or no longer a member. The server knows, and its answer comes into the list.
      return askWhetherIn(client, conversation, (isIn) => (this.#refused = !isIn));
    });
  }

  /** The server says that one is not in the group. */
  get out(): boolean {
    return this.#refused && !this.#listed;
  }

  /** Whether one may delete what others wrote. */
  get moderates(): boolean {
    const role: Role | undefined = this.#entry?.summary.role;
    return role === "admin" || role === "owner";
  }
}

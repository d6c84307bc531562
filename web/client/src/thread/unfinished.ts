/**
 * What a conversation's composer is about (a reply or an edit) while another conversation is open. Kept for as long
 * as the page is; the text of a message that was merely begun is a {@link Draft}.
 *
 * @module
 */
import type { Client, Conversation, ThreadItem } from "natterjack-sdk";

/** What is being written, if it is not simply a message. */
export interface About {
  readonly act: "reply" | "edit";
  readonly item: ThreadItem;
}

/** What was not finished: an edit with its text as it stood in the field. */
export interface Unfinished {
  readonly about: About;
  readonly text?: string | undefined;
}

/** Of each signed-in user alone. */
const kept = new WeakMap<Client, Map<Conversation, Unfinished>>();

/** Keeps what is not finished, until it is asked for; undefined: nothing is under way. */
export function putAside(client: Client, conversation: Conversation, what: Unfinished | undefined): void {
  const all = kept.get(client) ?? new Map<Conversation, Unfinished>();
  kept.set(client, all);
  if (what) all.set(conversation, what);
  else all.delete(conversation);
}

/** What was put aside in a conversation. */
export function takeUp(client: Client, conversation: Conversation): Unfinished | undefined {
  return kept.get(client)?.get(conversation);
}

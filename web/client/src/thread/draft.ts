/**
 * The text that was begun in a conversation, kept on this device a moment after the last key.
 *
 * @module
 */
import type { Client, Conversation } from "natterjack-sdk";

const KEEP_AFTER_MS = 300;

/** The draft of one conversation. */
export class Draft {
  readonly #client: Pick<Client, "draft" | "setDraft">;
  readonly #conversation: Conversation;
  #text: string | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(client: Pick<Client, "draft" | "setDraft">, conversation: Conversation) {
    this.#client = client;
    this.#conversation = conversation;
  }

  /** What was kept; empty if nothing was, or it cannot be read. */
  async load(): Promise<string> {
    return this.#client.draft(this.#conversation).catch(() => "");
  }

  /** Keeps a text soon; an empty one at once, so that what was sent does not come back. */
  set(text: string): void {
    this.#text = text;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.flush(), KEEP_AFTER_MS);
    if (text === "") this.flush();
  }

  /** Keeps now what is not kept yet. */
  flush(): void {
    clearTimeout(this.#timer);
    if (this.#text === undefined) return;
    // A draft that cannot be kept is no reason to disturb: it still stands in the field.
    this.#client.setDraft(this.#conversation, this.#text).catch(() => undefined);
    this.#text = undefined;
  }
}

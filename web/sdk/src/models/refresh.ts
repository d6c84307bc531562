/**
 * Summaries that the server is asked for one by one: of conversations that one joined, or of which something is
 * not known.
 *
 * @module
 */
import { ServerError } from "../errors.js";
import type { Conversation, Summary } from "../wire.js";
import type { Context } from "./context.js";

/** Requests under way at once. */
const ASKED_MAX = 4;
/** What is wanted is collected for so long: joining a group comes with several messages. */
const DELAY_MS = 30;

/** Where answers go. */
interface Answered {
  told(summary: Summary): void;
  /** There is no such conversation, or one is not in it. */
  gone(conversation: Conversation): void;
}

/** Asks for each once, later again where that failed for now. */
export class Refresher {
  readonly #context: Context;
  readonly #on: Answered;
  readonly #wanted = new Set<Conversation>();
  readonly #asked = new Set<Conversation>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(context: Context, on: Answered) {
    this.#context = context;
    this.#on = on;
  }

  /** Asks for it soon; what was asked before may be older than the reason for asking, and is asked again. */
  want(conversation: Conversation): void {
    this.#wanted.add(conversation);
    this.retry();
  }

  /** Goes on with what failed. */
  retry(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      for (const conversation of this.#wanted) {
        if (this.#asked.size >= ASKED_MAX) return;
        if (this.#asked.has(conversation)) continue;
        this.#wanted.delete(conversation);
        this.#asked.add(conversation);
        void this.#ask(conversation);
      }
    }, DELAY_MS);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#wanted.clear();
  }

  async #ask(conversation: Conversation): Promise<void> {
    let again = true;
    try {
      this.#on.told(await this.#context.api.conversation(conversation));
    } catch (error) {
      const refused = error instanceof ServerError && !error.retryable;
      if (refused && (error.code === "not_member" || error.code === "not_found")) this.#on.gone(conversation);
      // Else it waits for the next `ready`, or until somebody wants something.
      if (!refused) {
        this.#wanted.add(conversation);
        again = false;
      }
    }
    this.#asked.delete(conversation);
    if (again && this.#wanted.size > 0) this.retry();
  }
}

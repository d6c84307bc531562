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
/** Nothing is asked for again before that, so that an answer that does not help is no reason to ask on and on. */
const AGAIN_MS = 1_000;

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
  /** Under way, or asked for a moment ago. */
  readonly #asked = new Set<Conversation>();
  #underWay = 0;
  readonly #later = new Map<Conversation, ReturnType<typeof setTimeout>>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

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
        if (this.#underWay >= ASKED_MAX) return;
        if (this.#asked.has(conversation)) continue;
        this.#wanted.delete(conversation);
        this.#asked.add(conversation);
        void this.#ask(conversation);
      }
    }, DELAY_MS);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const timer of this.#later.values()) clearTimeout(timer);
    this.#wanted.clear();
  }

  async #ask(conversation: Conversation): Promise<void> {
    this.#underWay += 1;
    let later = true;
    try {
      this.#on.told(await this.#context.api.conversation(conversation));
    } catch (error) {
      const refused = error instanceof ServerError && !error.retryable;
      if (refused && (error.code === "not_member" || error.code === "not_found")) this.#on.gone(conversation);
      // No answer: it waits for the next `ready`, or until somebody wants something.
      if (!refused) this.#wanted.add(conversation);
      later = refused;
    }
    this.#underWay -= 1;
    if (this.#closed) return;
    if (!later) return void this.#asked.delete(conversation);
    const timer = setTimeout(() => {
      this.#asked.delete(conversation);
      this.#later.delete(conversation);
      if (this.#wanted.size > 0) this.retry();
    }, AGAIN_MS);
    this.#later.set(conversation, timer);
    if (this.#wanted.size > 0) this.retry();
  }
}

/**
 * What messages answer, where that is not in the piece that is loaded.
 *
 * @module
 */
import type { Message, Seq } from "../wire.js";
import type { ThreadItem } from "./models.js";

/** What is shown of a message that is answered. */
export type Quoted = NonNullable<NonNullable<ThreadItem["replyTo"]>["item"]>;

/** Lookups under way at once. */
const ASKED_MAX = 4;
/** Remembered at most; then all of it is forgotten and looked up again as it is wanted. */
const KNOWN_MAX = 500;

/** Looks up messages one by one, each once. */
export class Replies {
  readonly #loaded: (seq: Seq) => Message | undefined;
  readonly #find: (seq: Seq) => Promise<Message | undefined>;
  readonly #found: (seq: Seq) => void;
  readonly #known = new Map<Seq, Quoted>();
  readonly #wanted = new Set<Seq>();
  readonly #asked = new Set<Seq>();

  /**
   * @param loaded - A message of the piece.
   * @param find - One from elsewhere.
   * @param found - Hears what can be shown now, or differently.
   */
  constructor(
    loaded: (seq: Seq) => Message | undefined,
    find: (seq: Seq) => Promise<Message | undefined>,
    found: (seq: Seq) => void,
  ) {
    this.#loaded = loaded;
    this.#find = find;
    this.#found = found;
  }

  /** What is shown of an answered message, as far as it is known. */
  quote(seq: Seq): NonNullable<ThreadItem["replyTo"]> {
    const message = this.#loaded(seq);
    const item = message === undefined ? this.#known.get(seq) : quoted(message);
    return item === undefined ? { seq } : { seq, item };
  }

  /** It is answered somewhere: looks it up, unless that is done. */
  want(seq: Seq): void {
    const message = this.#loaded(seq);
    // Remembered, for when it is no longer in the piece.
    if (message !== undefined) return this.#learn(seq, quoted(message));
    if (this.#known.has(seq) || this.#asked.has(seq)) return;
    this.#wanted.add(seq);
    queueMicrotask(() => this.#go());
  }

  /** A message of the piece has another text now. */
  changed(message: Message): void {
    if (this.#known.has(message.seq)) this.#learn(message.seq, quoted(message));
  }

  /** A message that was looked up may have another text now. */
  stale(seq: Seq): void {
    if (!this.#known.has(seq) || this.#loaded(seq) !== undefined) return;
    this.#wanted.add(seq);
    queueMicrotask(() => this.#go());
  }

  /** Any of them may have another text now. */
  allStale(): void {
    for (const seq of this.#known.keys()) this.stale(seq);
  }

  /** Tries again what could not be looked up. */
  retry(): void {
    this.#go();
  }

  #learn(seq: Seq, item: Quoted): void {
    if (this.#known.size >= KNOWN_MAX) this.#known.clear();
    this.#known.set(seq, item);
  }

  #go(): void {
    for (const seq of this.#wanted) {
      if (this.#asked.size >= ASKED_MAX) return;
      this.#wanted.delete(seq);
      this.#asked.add(seq);
      void this.#ask(seq);
    }
  }

  async #ask(seq: Seq): Promise<void> {
    try {
      const message = await this.#find(seq);
      // What is not to be found, is not for this user to see: as if it were deleted.
      this.#learn(seq, message === undefined ? { seq, sender: "", deleted: true } : quoted(message));
      this.#found(seq);
    } catch {
      this.#wanted.add(seq);
      this.#asked.delete(seq);
      return;
    }
    this.#asked.delete(seq);
    this.#go();
  }
}

/** What is shown of it. */
export function quoted(message: Message): Quoted {
  const { seq, sender } = message;
  if (message.kind !== "text" || message.text === undefined) return { seq, sender, deleted: true };
  return { seq, sender, text: message.text, deleted: false };
}

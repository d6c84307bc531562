/**
 * Where the line "New messages" stands: before the first text of somebody else that was not read when the
 * conversation was opened, or that came while nobody looked.
 *
 * @module
 */
import type { MessageId, Seq, ThreadItem } from "natterjack-sdk";

type Item = Pick<ThreadItem, "key" | "seq" | "own" | "kind">;

/** The divider of one opened conversation. */
export class Divider {
  #key: MessageId | undefined;
  /** What is not above this has been judged already. */
  #judged: Seq;
  /** One's own read cursor at the opening. */
  readonly #after: Seq;

  /** `after`: one's own read cursor at the opening. */
  constructor(after: Seq) {
    this.#judged = after;
    this.#after = after;
  }

  /** The message that the divider stands before. */
  get key(): MessageId | undefined {
    return this.#key;
  }

  /**
   * Judges what is new at the end of a piece. `watched`: somebody looks at the end of the conversation, so that new
   * texts are read as they come. `read`: how far was read; beyond it the divider stays where it is, and once all
   * before a new text was read it moves there.
   */
  update(items: readonly Item[], watched: boolean, read: Seq): void {
    let first = items.length;
    while (first > 0 && !this.#done(items[first - 1])) first--;
    for (const item of items.slice(first)) {
      if (item.seq === undefined || item.seq <= this.#judged) continue;
      if (item.own || item.kind !== "text") continue;
      const before = this.#judged;
      this.#judged = item.seq;
      if (!watched && (this.#key === undefined || Math.max(read, this.#after) >= before))
        this.#key = item.key;
    }
  }

  /** Items without a place are unsent and stand at the end. */
  #done(item: Item | undefined): boolean {
    return item?.seq !== undefined && item.seq <= this.#judged;
  }
}

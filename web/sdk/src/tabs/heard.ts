/**
 * What a tab was told of each conversation: what a leader kept and could not tell of any more is told by the next one,
 * and nothing twice.
 *
 * @module
 */
import type { ClientEvents } from "../events.js";
import type { Store } from "../store/store.js";
import type { Conversation, Seq } from "../wire.js";

/** Messages of one event. */
const BATCH = 200;

/** How far each conversation was told. */
export class Heard {
  readonly #seqs: Map<Conversation, Seq>;

  /** @param cursors - What was kept already when the tab began. */
  constructor(cursors: ReadonlyMap<Conversation, Seq> = new Map()) {
    this.#seqs = new Map(cursors);
  }

  /** These are told: without what was told before; `undefined` if that is all of it. */
  messages(event: ClientEvents["messages"]): ClientEvents["messages"] | undefined {
    const { conversation, messages } = event;
    const told = this.#seqs.get(conversation) ?? 0;
    const fresh = messages.filter(({ seq }) => seq > told);
    const last = fresh.at(-1);
    if (last === undefined) return undefined;
    this.#seqs.set(conversation, last.seq);
    return fresh.length === messages.length ? event : { ...event, messages: fresh };
  }

  /** What lies up to `head` is not told. */
  truncated({ conversation, head }: ClientEvents["truncated"]): void {
    this.#seqs.set(conversation, Math.max(head, this.#seqs.get(conversation) ?? 0));
  }

  /** What is kept up to the cursors and was not told here. */
  async *missed(
    store: Store,
    cursors: ReadonlyMap<Conversation, Seq>,
  ): AsyncGenerator<ClientEvents["messages"]> {
    for (const [conversation, cursor] of cursors) {
      let after = this.#seqs.get(conversation);
      while (after !== undefined && after < cursor) {
        const kept = await store.messages(conversation, { after, limit: BATCH, unseen: true });
        const messages = kept.filter(({ seq }) => seq <= cursor);
        if (messages.length > 0) yield { conversation, messages, live: false };
        after = kept.length < BATCH ? undefined : kept.at(-1)!.seq;
      }
    }
  }
}

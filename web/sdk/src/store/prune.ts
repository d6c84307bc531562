/**
 * Keeps the messages of a database within bounds: in small steps, while nothing else is to be done.
 *
 * @module
 */
import type { Conversation } from "../wire.js";
import type { Bounds } from "./bounds.js";
import { answer, complete, keyAt } from "./idb.js";
import { keysOf } from "./schema.js";

/** Messages that go in one transaction. */
const STEP = 500;
/** After a write; many writes are one. */
const DELAY_MS = 5_000;
/** The whole is counted after so many writes. */
const TOTAL_EVERY = 200;
/** Kept of each conversation where there is no room. */
const KEPT_WITHOUT_ROOM = 200;

/** Deletes what is beyond the bounds. */
export class Pruner {
  readonly #open: () => Promise<IDBDatabase>;
  readonly #bounds: Bounds;
  readonly #written = new Set<Conversation>();
  #writes = TOTAL_EVERY;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(open: () => Promise<IDBDatabase>, bounds: Bounds) {
    this.#open = open;
    this.#bounds = bounds;
  }

  /** Messages of a conversation were written. */
  wrote(conversation: Conversation): void {
    this.#written.add(conversation);
    this.#writes += 1;
    this.#timer ??= setTimeout(() => {
      whenIdle(() => {
        this.#timer = undefined;
        // It is tried again after the next write.
        this.prune().catch(() => undefined);
      });
    }, DELAY_MS);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Brings everything that was written within the bounds. */
  async prune(): Promise<void> {
    for (const conversation of this.#written) {
      this.#written.delete(conversation);
      while (await this.#shorten(conversation, this.#bounds.perConversation));
    }
    if (this.#writes < TOTAL_EVERY) return;
    this.#writes = 0;
    await this.#forgetStale();
  }

  /** Lets go of all but the newest messages. */
  async makeRoom(): Promise<void> {
    for (const conversation of await this.#conversations()) {
      while (await this.#shorten(conversation, KEPT_WITHOUT_ROOM));
    }
  }

  /** Deletes one step of what is older than the newest `count`; answers whether there may be more. */
  async #shorten(conversation: Conversation, count: number): Promise<boolean> {
    const tx = (await this.#open()).transaction("messages", "readwrite", { durability: "relaxed" });
    const done = complete(tx);
    const store = tx.objectStore("messages");
    const range = keysOf(conversation);
    const excess = (await answer(store.count(range))) - count;
    if (excess > 0) {
      const last = await keyAt(store, range, Math.min(excess, STEP) - 1, "next");
      if (last !== undefined) store.delete(IDBKeyRange.bound([conversation], last));
    }
    await done;
    return excess > STEP;
  }

  /** Lets go of whole conversations until the rest fits, those first that nobody opened for longest. */
  async #forgetStale(): Promise<void> {
    const db = await this.#open();
    let excess =
      (await answer(db.transaction("messages").objectStore("messages").count())) - this.#bounds.total;
    if (excess <= 0) return;
    const names = await this.#conversations();
    const opened = db.transaction("opened").objectStore("opened");
    const times = await Promise.all(names.map((name) => answer<number | undefined>(opened.get(name))));
    const conversations = names.map((conversation, index) => ({ conversation, at: times[index] ?? 0 }));
    conversations.sort((a, b) => a.at - b.at);
    for (const { conversation } of conversations) {
      if (excess <= 0) return;
      excess -= await answer(db.transaction("messages").objectStore("messages").count(keysOf(conversation)));
      while (await this.#shorten(conversation, 0));
    }
  }

  /** Hops from the first key of each conversation to that of the next. */
  async #conversations(): Promise<Conversation[]> {
    const store = (await this.#open()).transaction("messages").objectStore("messages");
    const found: Conversation[] = [];
    let range: IDBKeyRange | undefined;
    for (;;) {
      const cursor: IDBCursor | null = await answer(store.openKeyCursor(range));
      if (cursor === null) return found;
      const conversation = (cursor.key as [Conversation, number])[0];
      found.push(conversation);
      range = IDBKeyRange.lowerBound([conversation, []], true);
    }
  }
}

function whenIdle(run: () => void): void {
  if (typeof requestIdleCallback === "function") requestIdleCallback(run, { timeout: 30_000 });
  else run();
}

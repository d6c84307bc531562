/**
 * What the timeline hands on, on its way to the application: gathered into batches, kept in the store with the
 * cursor in one write, told, and then confirmed as delivered.
 *
 * The first message after a pause goes at once; those that follow closely go together, so that a busy
 * conversation costs a few writes and events a second and not one a message.
 *
 * @module
 */
import type { Change } from "../../store/store.js";
import type { Conversation, Message, Seq } from "../../wire.js";
import type { Outbox } from "../outbox.js";
import type { Shown } from "../timeline/timeline.js";
import { type Outlet, type Telling, emitting } from "./io.js";

/** Something that waits for the next batch; the order is kept. */
type Item =
  | { is: "messages"; conversation: Conversation; live: boolean; messages: Message[] }
  | { is: "gap"; conversation: Conversation; cursor: Seq; head: Seq }
  | { is: "telling"; telling: Telling }
  | { is: "confirm"; conversation: Conversation; seq: Seq };

/** The way of messages to the application. Times are milliseconds that never fall. */
export class Delivery {
  /** Who one is, once that is known. */
  me: string | undefined;
  readonly #out: Outlet;
  readonly #outbox: Outbox;
  readonly #batchMs: number;
  #items: Item[] = [];
  /** The batch of each conversation that takes more. */
  readonly #open = new Map<Conversation, Item & { is: "messages" }>();
  /** A batch is on its way into the store. */
  #writing = false;
  #nextAt = 0;

  constructor(out: Outlet, outbox: Outbox, batchMs: number) {
    this.#out = out;
    this.#outbox = outbox;
    this.#batchMs = batchMs;
  }

  /** Takes what the timeline hands on; `live` if it was not missed before. */
  take(conversation: Conversation, shown: Shown, live: boolean): void {
    const { messages, truncated, confirm } = shown;
    const gapAt =
      truncated === undefined ? messages.length : messages.findIndex((m) => m.seq > truncated.cursor);
    const before = gapAt < 0 ? messages.length : gapAt;
    this.#messages(conversation, messages.slice(0, before), live);
    if (truncated !== undefined) {
      this.#open.delete(conversation);
      this.#items.push({ is: "gap", conversation, ...truncated });
    }
    this.#messages(conversation, messages.slice(before), live);
    if (confirm !== undefined) this.#items.push({ is: "confirm", conversation, seq: confirm });
  }

  /** Tells something after all messages that were taken before it. */
  after(telling: Telling): void {
    this.#items.push({ is: "telling", telling });
  }

  /** Puts out the next batch, if it is time. */
  flush(now: number): void {
    if (this.#items.length === 0 || this.#writing || this.#nextAt > now) return;
    const items = this.#items;
    this.#items = [];
    this.#open.clear();
    const changes: Change[] = [];
    const then: Telling[] = [];
    const confirm = new Map<Conversation, Seq>();
    for (const item of items) {
      switch (item.is) {
        case "messages":
          this.#keep(item, changes, then, confirm);
          break;
        case "gap": {
          const { conversation, cursor, head } = item;
          // What was edited or deleted in the gap is kept as it was, and nothing will tell.
          changes.push({ drop: "messages", conversation, upTo: head });
          changes.push({ put: "cursor", conversation, seq: head });
          then.push(emitting("truncated", { conversation, cursor, head }));
          break;
        }
        case "telling":
          then.push(item.telling);
          break;
        case "confirm":
          confirm.set(item.conversation, Math.max(confirm.get(item.conversation) ?? 0, item.seq));
      }
    }
    this.#writing = true;
    this.#nextAt = now + this.#batchMs;
    this.#out.keep(changes, then, { type: "written", confirm: [...confirm] });
  }

  /** The last batch is in the store. */
  written(): void {
    this.#writing = false;
  }

  /** When {@link flush} has something to do. */
  get deadline(): number | undefined {
    return this.#items.length > 0 && !this.#writing ? this.#nextAt : undefined;
  }

  #messages(conversation: Conversation, messages: readonly Message[], live: boolean): void {
    if (messages.length === 0) return;
    const open = this.#open.get(conversation);
    if (open?.live === live) {
      open.messages.push(...messages);
      return;
    }
    const item = { is: "messages" as const, conversation, live, messages: [...messages] };
    this.#items.push(item);
    this.#open.set(conversation, item);
  }

  #keep(
    { conversation, messages, live }: Item & { is: "messages" },
    changes: Change[],
    then: Telling[],
    confirm: Map<Conversation, Seq>,
  ): void {
    changes.push({ put: "messages", conversation, messages });
    changes.push({ put: "cursor", conversation, seq: messages.at(-1)!.seq });
    then.push(emitting("messages", { conversation, messages, live }));
    for (const { id, seq, sender } of messages) {
      if (sender === this.me) {
        // One's own message is on disk, whether or not its ack was heard.
        const entry = this.#outbox.settle(id, { seq });
        if (entry === undefined) continue;
        changes.push({ drop: "outbox", id });
        then.push(emitting("outbox", { entry, done: { seq } }));
      } else if (!conversation.startsWith("user.")) {
        // One's own log and one's own messages need no receipt.
        confirm.set(conversation, seq);
      }
    }
  }
}

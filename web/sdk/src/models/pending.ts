/**
 * What one has written in a conversation and is not in its history yet.
 *
 * @module
 */
import type { OutboxEntry } from "../events.js";
import type { ChangeMessage } from "../store/settle.js";
import type { MessageId, Seq, UserId } from "../wire.js";
import type { ThreadItem } from "./models.js";

/** A text that waits, or that is on disk (`seq`) while its echo is still under way. */
interface PendingText {
  entry: OutboxEntry;
  seq?: Seq;
  item?: ThreadItem;
}

/** The outbox of one conversation, as a thread shows it. */
export class Pending {
  readonly #texts = new Map<MessageId, PendingText>();
  readonly #changes = new Map<MessageId, OutboxEntry>();

  /** New or changed. */
  put(entry: OutboxEntry): void {
    if (entry.content.kind === "text") this.#texts.set(entry.id, { entry });
    else this.#changes.set(entry.id, entry);
  }

  /** It is on disk at `seq`: a text stays in sight until it is in the history. */
  stored(entry: OutboxEntry, seq: Seq): void {
    if (entry.content.kind === "text") this.#texts.set(entry.id, { entry, seq });
    else this.#changes.delete(entry.id);
  }

  drop(id: MessageId): void {
    this.#texts.delete(id);
    this.#changes.delete(id);
  }

  /** The history has come to `end`. */
  arrived(end: Seq): void {
    for (const [id, { seq }] of this.#texts) if (seq !== undefined && seq <= end) this.#texts.delete(id);
  }

  /** The edit or deletion of a message that was written last and is not on disk. */
  change(target: Seq): OutboxEntry | undefined {
    let last: OutboxEntry | undefined;
    for (const entry of this.#changes.values()) {
      const { content } = entry;
      const names = content.kind !== "text" && content.target === target;
      if (names && entry.order >= (last?.order ?? 0)) last = entry;
    }
    return last;
  }

  /** The texts in order, without those that are shown already. */
  items(me: UserId, shown: (id: MessageId) => boolean, reply: Reply): ThreadItem[] {
    const texts = [...this.#texts.values()].filter(({ entry }) => !shown(entry.id));
    // What is on disk comes first, as it will in the history.
    texts.sort((a, b) => (a.seq ?? Infinity) - (b.seq ?? Infinity) || a.entry.order - b.entry.order);
    return texts.map((text) => (text.item ??= itemOf(text, me, reply)));
  }

  /** Texts that answer the message at `seq` are made anew. */
  forgetRepliesTo(seq: Seq): void {
    for (const text of this.#texts.values()) {
      const { content } = text.entry;
      if (content.kind === "text" && content.replyTo === seq) delete text.item;
    }
  }
}

/** One's own edit or deletion that is on disk at `seq`, as its echo will tell it. */
export function changeOf(entry: OutboxEntry, seq: Seq, me: UserId): ChangeMessage | undefined {
  const { id, conversation, at, content } = entry;
  if (content.kind === "text") return undefined;
  const base = { conversation, seq, prev: 0, id, sender: me, sent_at: at, target: content.target };
  return content.kind === "delete"
    ? { ...base, kind: "delete" }
    : { ...base, kind: "edit", text: content.text };
}

/** Looks up what a text answers. */
export type Reply = (seq: Seq) => NonNullable<ThreadItem["replyTo"]>;

function itemOf({ entry, seq }: PendingText, me: UserId, reply: Reply): ThreadItem {
  const { content, failed } = entry;
  if (content.kind !== "text") throw new Error("only texts are items");
  return {
    key: entry.id,
    ...(seq !== undefined && { seq }),
    sender: me,
    own: true,
    at: entry.at,
    kind: "text",
    text: content.text,
    deleted: false,
    edited: false,
    ...(content.replyTo !== undefined && { replyTo: reply(content.replyTo) }),
    status: failed !== undefined ? "failed" : seq === undefined ? "waiting" : "stored",
    ...(failed !== undefined && { error: failed }),
  };
}

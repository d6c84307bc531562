/**
 * A store that lasts as long as the page or process: for Node, for tests, and where a browser gives no room.
 *
 * @module
 */
import type { OutboxEntry } from "../events.js";
import type { Conversation, Message, MessageId, Profile, Seq, Summary, UserCursor, UserId } from "../wire.js";
import { BOUNDS, type Bounds } from "./bounds.js";
import { risen } from "../conversation.js";
import { type ChangeMessage, isChange, settle } from "./settle.js";
import type { Change, MessageQuery, Opening, Store } from "./store.js";

/** What is kept of one conversation's messages. */
class Log {
  /** Ascending by sequence. */
  messages: Message[] = [];
  readonly changes = new Map<Seq, ChangeMessage[]>();
  opened = 0;

  /** The index of the first message at or after `seq`. */
  at(seq: Seq): number {
    let [low, high] = [0, this.messages.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.messages[middle]!.seq < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  get(seq: Seq): Message | undefined {
    const message = this.messages[this.at(seq)];
    return message?.seq === seq ? message : undefined;
  }

  put(told: readonly Message[]): void {
    const named = new Set(told.flatMap((m) => (isChange(m) ? [m.seq, m.target] : [m.seq])));
    const changes = [...named].flatMap((seq) => this.changes.get(seq) ?? []);
    for (const message of settle(told, (seq) => this.get(seq), changes)) {
      const index = this.at(message.seq);
      const known = this.messages[index]?.seq === message.seq;
      this.messages.splice(index, known ? 1 : 0, message);
      if (!isChange(message)) continue;
      const others = (this.changes.get(message.target) ?? []).filter((other) => other.seq !== message.seq);
      this.changes.set(message.target, [...others, message]);
    }
  }

  /** Lets go of all but the newest. */
  keep(count: number): void {
    this.#shift(this.messages.length - count);
  }

  /** Lets go of all up to `seq`. */
  drop(seq: Seq): void {
    this.#shift(this.at(seq + 1));
  }

  /** Lets go of the oldest. */
  #shift(count: number): void {
    for (const gone of this.messages.splice(0, Math.max(0, count))) {
      if (isChange(gone)) this.changes.delete(gone.target);
    }
  }
}

/** Keeps everything in memory, within the same bounds as {@link IndexedDbStore}. */
export class MemoryStore implements Store {
  readonly #bounds: Bounds;
  readonly #logs = new Map<Conversation, Log>();
  readonly #outbox = new Map<MessageId, OutboxEntry>();
  readonly #cursors = new Map<Conversation, Seq>();
  readonly #summaries = new Map<Conversation, Summary>();
  readonly #receipts = new Map<Conversation, Map<UserId, UserCursor>>();
  readonly #profiles = new Map<UserId, Profile>();
  readonly #drafts = new Map<Conversation, string>();
  readonly #values = new Map<string, unknown>();
  #clock = 0;

  constructor(bounds: Bounds = BOUNDS) {
    this.#bounds = bounds;
  }

  open(): Promise<Opening> {
    return Promise.resolve({
      outbox: [...this.#outbox.values()],
      cursors: new Map(this.#cursors),
      summaries: [...this.#summaries.values()],
      drafts: new Map(this.#drafts),
    });
  }

  write(changes: Change[]): Promise<void> {
    for (const change of changes) {
      if ("put" in change) this.#put(change);
      else if (change.drop === "outbox") this.#outbox.delete(change.id);
      else if (change.drop === "messages") this.#logs.get(change.conversation)?.drop(change.upTo);
      else this.#forget(change.conversation);
    }
    return Promise.resolve();
  }

  #put(change: Extract<Change, { put: string }>): void {
    switch (change.put) {
      case "messages": {
        const log = this.#log(change.conversation);
        log.put(change.messages);
        log.keep(this.#bounds.perConversation);
        this.#prune();
        break;
      }
      case "cursor":
        this.#cursors.set(
          change.conversation,
          Math.max(this.#cursors.get(change.conversation) ?? 0, change.seq),
        );
        break;
      case "outbox":
        this.#outbox.set(change.entry.id, change.entry);
        break;
      case "summaries":
        for (const summary of change.summaries) this.#summaries.set(summary.conversation, summary);
        break;
      case "receipts": {
        const cursors = this.#receipts.get(change.conversation) ?? new Map<UserId, UserCursor>();
        for (const cursor of change.cursors)
          cursors.set(cursor.user, risen(cursors.get(cursor.user), cursor));
        this.#receipts.set(change.conversation, cursors);
        break;
      }
      case "profiles":
        for (const profile of change.profiles) this.#profiles.set(profile.id, profile);
        break;
      case "draft":
        if (change.text === "") this.#drafts.delete(change.conversation);
        else this.#drafts.set(change.conversation, change.text);
        break;
      case "value":
        this.#values.set(change.name, change.value);
    }
  }

  messages(conversation: Conversation, query: MessageQuery): Promise<Message[]> {
    const log = this.#logs.get(conversation);
    if (log === undefined) return Promise.resolve([]);
    if (query.unseen !== true) log.opened = ++this.#clock;
    if (query.after !== undefined) {
      const from = log.at(query.after + 1);
      return Promise.resolve(log.messages.slice(from, from + query.limit));
    }
    const to = query.before === undefined ? log.messages.length : log.at(query.before);
    return Promise.resolve(log.messages.slice(Math.max(0, to - query.limit), to));
  }

  message(conversation: Conversation, seq: Seq): Promise<Message | undefined> {
    return Promise.resolve(this.#logs.get(conversation)?.get(seq));
  }

  receipts(conversation: Conversation): Promise<UserCursor[]> {
    return Promise.resolve([...(this.#receipts.get(conversation)?.values() ?? [])]);
  }

  profiles(ids: string[]): Promise<Profile[]> {
    return Promise.resolve(ids.flatMap((id) => this.#profiles.get(id) ?? []));
  }

  draft(conversation: Conversation): Promise<string> {
    return Promise.resolve(this.#drafts.get(conversation) ?? "");
  }

  value(name: string): Promise<unknown> {
    return Promise.resolve(this.#values.get(name));
  }

  destroy(): Promise<void> {
    const all = [this.#logs, this.#outbox, this.#cursors, this.#summaries, this.#receipts, this.#profiles];
    for (const map of [...all, this.#drafts, this.#values]) map.clear();
    return Promise.resolve();
  }

  close(): void {
    // Nothing to let go of: what is kept may be opened again.
  }

  #log(conversation: Conversation): Log {
    let log = this.#logs.get(conversation);
    if (log === undefined) this.#logs.set(conversation, (log = new Log()));
    return log;
  }

  #forget(conversation: Conversation): void {
    for (const map of [this.#logs, this.#cursors, this.#summaries, this.#receipts, this.#drafts]) {
      map.delete(conversation);
    }
  }

  #prune(): void {
    let total = 0;
    for (const log of this.#logs.values()) total += log.messages.length;
    if (total <= this.#bounds.total) return;
    const stale = [...this.#logs].sort(([, a], [, b]) => a.opened - b.opened);
    for (const [conversation, log] of stale.slice(0, -1)) {
      if (total <= this.#bounds.total) return;
      total -= log.messages.length;
      this.#logs.delete(conversation);
    }
  }
}

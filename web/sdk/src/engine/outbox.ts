/**
 * What is written but not yet acknowledged.
 *
 * One lane a conversation, first in first out, one message of a lane on its way at a time: so the order holds
 * whatever happens. An id is kept across retries, reconnects and restarts, so that sending again is harmless.
 * A timeout or a lost connection is not a failure. What the server refuses for good steps out of its lane and
 * waits for the person; what was written after it in the same conversation goes on, for a refusal is about the
 * one message (and where it is about the conversation, each is refused in its turn and says so).
 *
 * @module
 */
import type { OutboxEntry } from "../events.js";
import type { ClientFrame, Conversation, Limits, MessageId, Seq, WireError } from "../wire.js";
import { type Backoff, delayMs } from "./backoff.js";

/** Most entries that wait, in all conversations together. */
export const OUTBOX_MAX = 1_024;

/** So many that left it are remembered. One that was sent and is forgotten does no harm: the server knows its id. */
const GONE_MAX = 256;

/** An entry that left: its message is on disk, or nobody wants it. */
export interface Gone {
  entry: OutboxEntry;
  done: { seq: Seq } | "discarded";
}

/** Errors of the session: they say nothing of the message, which goes again once the session is renewed. */
const OF_THE_SESSION: readonly string[] = ["unauthorized", "token_expired", "revoked"];

interface Slot {
  entry: OutboxEntry;
  /** Whether the store has it: nothing leaves before. */
  kept: boolean;
  /** When it was handed to the present connection; `undefined` if it was not, or is to go again. */
  sentAt?: number | undefined;
}

interface Lane {
  slots: Slot[];
  /** The server wants a pause: nothing leaves before. */
  retryAt: number;
  failures: number;
}

/** What may leave, and what no server would take. */
export interface Pumped {
  frames: ClientFrame[];
  rejected: { entry: OutboxEntry; error: WireError }[];
}

/** The outbox of one user. Times are milliseconds that never fall. */
export class Outbox {
  readonly #lanes = new Map<Conversation, Lane>();
  readonly #failed = new Map<MessageId, OutboxEntry>();
  readonly #byId = new Map<MessageId, Conversation>();
  /** In the order in which they left. */
  readonly #gone = new Map<MessageId, Gone>();
  readonly #ackTimeoutMs: number;
  readonly #backoff: Backoff;
  readonly #random: () => number;
  #inFlight = 0;

  /** @param entries - Those that the store kept. */
  constructor(entries: readonly OutboxEntry[], ackTimeoutMs: number, backoff: Backoff, random: () => number) {
    this.#ackTimeoutMs = ackTimeoutMs;
    this.#backoff = backoff;
    this.#random = random;
    for (const entry of [...entries].sort((one, other) => one.order - other.order)) {
      if (entry.failed === undefined) this.#push(entry, true);
      else this.#failed.set(entry.id, entry);
    }
  }

  /** How many entries there are, refused ones included. */
  get size(): number {
    return this.#byId.size + this.#failed.size;
  }

  /** How many were sent over the present connection and have no answer. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** All entries, by conversation and order. */
  entries(): OutboxEntry[] {
    const waiting = [...this.#lanes.values()].flatMap((lane) => lane.slots.map((slot) => slot.entry));
    const all = [...waiting, ...this.#failed.values()];
    return all.sort((one, other) => compare(one.conversation, other.conversation) || one.order - other.order);
  }

  /** The entry of that id. */
  find(id: MessageId): OutboxEntry | undefined {
    return this.#slot(id)?.entry ?? this.#failed.get(id);
  }

  /** The place behind all others of a conversation. */
  nextOrder(conversation: Conversation): number {
    let last = 0;
    for (const { entry } of this.#lanes.get(conversation)?.slots ?? []) last = Math.max(last, entry.order);
    for (const entry of this.#failed.values()) {
      if (entry.conversation === conversation) last = Math.max(last, entry.order);
    }
    return last + 1;
  }

  /** Takes an entry whose id is not in here; it leaves once it is {@link kept}. */
  push(entry: OutboxEntry): void {
    this.#push(entry, false);
  }

  /** The store has it. */
  kept(id: MessageId): void {
    const slot = this.#slot(id);
    if (slot !== undefined) slot.kept = true;
  }

  /** What may leave now. */
  pump(now: number, limits: Pick<Limits, "sends_in_flight_max" | "text_chars_max">): Pumped {
    const pumped: Pumped = { frames: [], rejected: [] };
    for (const lane of this.#lanes.values()) {
      if (lane.retryAt > now) continue;
      lane.retryAt = 0;
      if (this.#inFlight >= limits.sends_in_flight_max) continue;
      let first = lane.slots[0];
      while (first !== undefined && first.kept && first.sentAt === undefined) {
        const error = beyond(first.entry, limits.text_chars_max);
        if (error === undefined) {
          first.sentAt = now;
          this.#inFlight += 1;
          pumped.frames.push(frame(first.entry));
          break;
        }
        pumped.rejected.push({ entry: this.#fail(first.entry, error), error });
        first = lane.slots[0];
      }
    }
    return pumped;
  }

  /** The message of that id is on disk, or not wanted any more: it is in here no longer, and that is remembered. */
  settle(id: MessageId, done: Gone["done"]): OutboxEntry | undefined {
    const entry = this.remove(id);
    if (entry === undefined) return undefined;
    this.#gone.set(id, { entry, done });
    for (const oldest of this.#gone.keys()) {
      if (this.#gone.size <= GONE_MAX) break;
      this.#gone.delete(oldest);
    }
    return entry;
  }

  /** The entry of that id, if it left in this run. */
  gone(id: MessageId): Gone | undefined {
    return this.#gone.get(id);
  }

  /** Takes an entry out, for whatever reason. */
  remove(id: MessageId): OutboxEntry | undefined {
    const failed = this.#failed.get(id);
    if (failed !== undefined) {
      this.#failed.delete(id);
      return failed;
    }
    const conversation = this.#byId.get(id);
    const lane = conversation === undefined ? undefined : this.#lanes.get(conversation);
    if (conversation === undefined || lane === undefined) return undefined;
    const place = lane.slots.findIndex((slot) => slot.entry.id === id);
    const [slot] = lane.slots.splice(place, 1);
    if (slot?.sentAt !== undefined) this.#inFlight -= 1;
    this.#byId.delete(id);
    lane.failures = 0;
    if (lane.slots.length === 0) this.#lanes.delete(conversation);
    return slot?.entry;
  }

  /** The server answered with an error: the entry as it is refused for good, or nothing if it goes again later. */
  refused(id: MessageId, error: WireError, now: number): OutboxEntry | undefined {
    const slot = this.#slot(id);
    const lane = slot && this.#lanes.get(slot.entry.conversation);
    if (slot === undefined || lane === undefined) return undefined;
    if (!error.retryable && !isOfTheSession(error)) return this.#fail(slot.entry, error);
    if (slot.sentAt !== undefined) this.#inFlight -= 1;
    slot.sentAt = undefined;
    // What the server asks for is the earliest moment; the jitter comes on top of it.
    const pause = (error.retry_after_ms ?? 0) + delayMs(this.#backoff, lane.failures, this.#random);
    lane.retryAt = Math.max(lane.retryAt, now + pause);
    lane.failures += 1;
    return undefined;
  }

  /** Nothing that was sent over the connection will be answered any more. */
  disconnected(): void {
    this.#inFlight = 0;
    for (const lane of this.#lanes.values()) {
      // A new connection may lead to a server that has room.
      lane.retryAt = 0;
      lane.failures = 0;
      for (const slot of lane.slots) slot.sentAt = undefined;
    }
  }

  /** Messages without an answer for too long go again, under their ids. */
  expire(now: number): void {
    for (const lane of this.#lanes.values()) {
      const first = lane.slots[0];
      if (first?.sentAt === undefined || first.sentAt + this.#ackTimeoutMs > now) continue;
      first.sentAt = undefined;
      this.#inFlight -= 1;
    }
  }

  /** Since when the server owes an answer, if it does. */
  get oldestSentAt(): number | undefined {
    let oldest: number | undefined;
    for (const { slots } of this.#lanes.values()) {
      const at = slots[0]?.sentAt;
      if (at !== undefined) oldest = Math.min(oldest ?? Infinity, at);
    }
    return oldest;
  }

  /** When {@link expire} or {@link pump} has something to do next, while there is a connection. */
  get deadline(): number | undefined {
    let earliest = Infinity;
    for (const lane of this.#lanes.values()) {
      const at = lane.slots[0]?.sentAt;
      if (at !== undefined) earliest = Math.min(earliest, at + this.#ackTimeoutMs);
      else if (lane.retryAt > 0) earliest = Math.min(earliest, lane.retryAt);
    }
    return earliest === Infinity ? undefined : earliest;
  }

  #slot(id: MessageId): Slot | undefined {
    const conversation = this.#byId.get(id);
    const lane = conversation === undefined ? undefined : this.#lanes.get(conversation);
    return lane?.slots.find((slot) => slot.entry.id === id);
  }

  #push(entry: OutboxEntry, kept: boolean): void {
    this.#byId.set(entry.id, entry.conversation);
    const lane = this.#lanes.get(entry.conversation);
    if (lane === undefined) {
      this.#lanes.set(entry.conversation, { slots: [{ entry, kept }], retryAt: 0, failures: 0 });
    } else {
      lane.slots.push({ entry, kept });
    }
  }

  #fail(entry: OutboxEntry, error: WireError): OutboxEntry {
    this.remove(entry.id);
    const failed = { ...entry, failed: error };
    this.#failed.set(entry.id, failed);
    return failed;
  }
}

/** Whether a refusal was about the session and not about the message. */
export function isOfTheSession(error: WireError): boolean {
  return OF_THE_SESSION.includes(error.code);
}

/** Whether two contents are the same message to the server. */
export function sameContent(one: OutboxEntry["content"], other: OutboxEntry["content"]): boolean {
  const parts = (content: OutboxEntry["content"]): unknown[] => [
    content.kind,
    "text" in content ? content.text : undefined,
    "target" in content ? content.target : undefined,
    "replyTo" in content ? content.replyTo : undefined,
  ];
  const others = parts(other);
  return parts(one).every((part, place) => part === others[place]);
}

function frame({ id, conversation, content }: OutboxEntry): ClientFrame {
  switch (content.kind) {
    case "text": {
      const reply = content.replyTo === undefined ? {} : { reply_to: content.replyTo };
      return { type: "send", id, conversation, text: content.text, ...reply };
    }
    case "edit":
      return { type: "edit", id, conversation, target: content.target, text: content.text };
    case "delete":
      return { type: "delete", id, conversation, target: content.target };
  }
}

/** A frame beyond the server's limits would end the session for good, so it never leaves. */
function beyond({ content }: OutboxEntry, charsMax: Seq): WireError | undefined {
  // A text has no more characters than UTF-16 units: most need not be counted.
  if (content.kind === "delete" || content.text.length <= charsMax) return undefined;
  let chars = 0;
  for (const _ of content.text) chars += 1;
  if (chars <= charsMax) return undefined;
  const message = `the text has ${chars} characters, at most ${charsMax} are allowed: shorten it`;
  return { code: "text_too_long", message, retryable: false };
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

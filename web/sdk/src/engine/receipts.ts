/**
 * Receipts on their way to the server, gathered so that a burst of messages costs one frame.
 *
 * Nothing acknowledges a receipt, and an edge gathers them too: one that was sent a moment before the connection
 * broke is sent again. What a person has read is kept on the device until it is surely told.
 *
 * @module
 */
import type { ClientFrame, Conversation, Cursor, Seq } from "../wire.js";

/** For so long after it was sent a receipt may still be lost with its edge. */
const UNSURE_MS = 5_000;

type Receipt = Extract<ClientFrame, { type: "receipt" }>;

/** The receipts of one user. Times are milliseconds that never fall. */
export class Receipts {
  readonly #delayMs: number;
  #waiting = new Map<Conversation, Cursor>();
  #due: number | undefined;
  #unsure = new Map<Conversation, { at: number; cursor: Cursor }>();

  /**
   * @param delayMs - How long they are gathered.
   * @param reads - What had been read and not surely told when the device was last used.
   */
  constructor(delayMs: number, reads: Readonly<Record<Conversation, Seq>>) {
    this.#delayMs = delayMs;
    for (const [conversation, read] of Object.entries(reads))
      this.advance(conversation, { delivered: 0, read }, 0);
  }

  /** The user has got so far. Only rises; 0 says nothing. */
  advance(conversation: Conversation, cursor: Cursor, now: number): void {
    const waiting = this.#waiting.get(conversation) ?? { delivered: 0, read: 0 };
    this.#waiting.set(conversation, higher(waiting, cursor));
    this.#due ??= now + this.#delayMs;
  }

  /** The frames that are due. */
  take(now: number): Receipt[] {
    return this.#due !== undefined && this.#due <= now ? this.takeAll(now) : [];
  }

  /** All frames, due or not. */
  takeAll(now: number): Receipt[] {
    this.#due = undefined;
    const frames: Receipt[] = [];
    for (const [conversation, cursor] of this.#waiting) {
      const unsure = this.#unsure.get(conversation)?.cursor ?? cursor;
      this.#unsure.set(conversation, { at: now, cursor: higher(unsure, cursor) });
      frames.push({
        type: "receipt",
        conversation,
        ...(cursor.delivered > 0 && { delivered: cursor.delivered }),
        ...(cursor.read > 0 && { read: cursor.read }),
      });
    }
    this.#waiting.clear();
    return frames;
  }

  /** Forgets what is surely told by now; whether anything read was among it, so that {@link reads} has changed. */
  settle(now: number): boolean {
    let changed = false;
    for (const [conversation, { at, cursor }] of this.#unsure) {
      if (at + UNSURE_MS > now) continue;
      this.#unsure.delete(conversation);
      changed ||= cursor.read > 0;
    }
    return changed;
  }

  /** What is read and not surely told: to be kept over a restart. */
  get reads(): Record<Conversation, Seq> {
    const reads: Record<Conversation, Seq> = {};
    const all = [...[...this.#unsure].map(([name, { cursor }]) => [name, cursor] as const), ...this.#waiting];
    for (const [conversation, { read }] of all) {
      if (read > 0) reads[conversation] = Math.max(reads[conversation] ?? 0, read);
    }
    return reads;
  }

  /** When frames are due, while there is a connection. */
  get deadline(): number | undefined {
    return this.#due;
  }

  /** When {@link settle} has something to do, while there is a connection. */
  get settled(): number | undefined {
    let earliest: number | undefined;
    for (const { at } of this.#unsure.values()) earliest = Math.min(earliest ?? Infinity, at + UNSURE_MS);
    return earliest;
  }

  /** What was sent a moment ago may be lost. */
  disconnected(now: number): void {
    for (const [conversation, { at, cursor }] of this.#unsure) {
      if (at + UNSURE_MS > now) this.advance(conversation, cursor, now);
    }
    this.#unsure.clear();
  }
}

function higher(one: Cursor, other: Cursor): Cursor {
  return { delivered: Math.max(one.delivered, other.delivered), read: Math.max(one.read, other.read) };
}

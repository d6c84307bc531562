/**
 * What a person reads: told to the server with the receipts, to one's own tabs at once, and kept until it is surely
 * told. A person who scrolls says it often; gathered, it costs a few writes a second.
 *
 * @module
 */
import type { Change } from "../../store/store.js";
import type { Conversation, Seq, UserId } from "../../wire.js";
import type { Receipts } from "../receipts.js";
import { type Outlet, type Telling, emitting } from "./io.js";

/** The name in the store of what was read and is not surely told. */
export const READS = "reads";
/** How long it is gathered, after it was said once. */
const GATHER_MS = 100;

/** The read cursors of one's own. Times are milliseconds that never fall. */
export class Reading {
  readonly #out: Outlet;
  readonly #receipts: Receipts;
  /** The highest that was said in this run. */
  readonly #said = new Map<Conversation, Seq>();
  readonly #news = new Set<Conversation>();
  #tickets: number[] = [];
  #nextAt = 0;

  constructor(out: Outlet, receipts: Receipts) {
    this.#out = out;
    this.#receipts = receipts;
  }

  /** Read up to there; answered once it is kept. */
  take(ticket: number, conversation: Conversation, seq: Seq, now: number): void {
    if (seq <= (this.#said.get(conversation) ?? 0)) return this.#out.answer(ticket, null);
    this.#said.set(conversation, seq);
    this.#receipts.advance(conversation, { delivered: 0, read: seq }, now);
    this.#news.add(conversation);
    this.#tickets.push(ticket);
  }

  /** Keeps and tells what was gathered, if it is time. */
  flush(me: UserId | undefined, now: number): void {
    if (this.#news.size === 0 || this.#nextAt > now) return;
    this.#nextAt = now + GATHER_MS;
    const changes = [this.#kept()];
    const tell: Telling[] = [];
    for (const conversation of me === undefined ? [] : this.#news) {
      const read = this.#said.get(conversation)!;
      const cursors = [{ user: me!, delivered: read, read }];
      changes.push({ put: "receipts", conversation, cursors });
      tell.push(emitting("receipts", { conversation, cursors }));
    }
    for (const ticket of this.#tickets) tell.push({ type: "answer", ticket, answer: null });
    this.#news.clear();
    this.#tickets = [];
    this.#out.keep(changes, tell);
  }

  /** At the end: nobody comes back for what is still gathered. */
  finish(me: UserId | undefined): void {
    this.#nextAt = 0;
    this.flush(me, 0);
  }

  /** Forgets what is surely told by now. */
  settle(now: number): void {
    if (this.#receipts.settle(now)) this.#out.keep([this.#kept()]);
  }

  /** When {@link flush} has something to do. */
  get deadline(): number | undefined {
    return this.#news.size > 0 ? this.#nextAt : undefined;
  }

  #kept(): Change {
    return { put: "value", name: READS, value: this.#receipts.reads };
  }
}

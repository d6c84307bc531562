/**
 * What a person reads: told to the server with the receipts, to one's own tabs at once, and kept until it is surely
 * told. A person who scrolls says it often; gathered, it costs a few writes a second.
 *
 * @module
 */
import type { Change, Opening } from "../../store/store.js";
import type { Conversation, Seq, ServerFrame, UserId } from "../../wire.js";
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
  /** The highest that is known to be there: nobody has read beyond it. */
  readonly #heads = new Map<Conversation, Seq>();
  #tickets: number[] = [];
  #nextAt = 0;

  constructor(out: Outlet, receipts: Receipts, { cursors, summaries }: Opening) {
    this.#out = out;
    this.#receipts = receipts;
    for (const [conversation, seq] of cursors) this.#exists(conversation, seq);
    for (const { conversation, head } of summaries) this.#exists(conversation, head);
  }

  /** A frame tells what there is to read. */
  heard(frame: ServerFrame): void {
    switch (frame.type) {
      case "message":
        return this.#exists(frame.conversation, frame.seq);
      case "history":
      case "nudge":
      case "truncated":
        return this.#exists(frame.conversation, frame.head);
      case "ready":
      case "conversations":
        for (const { conversation, head } of frame.conversations) this.#exists(conversation, head);
        return;
      default:
    }
  }

  /** Read up to there, or to the end where that is known to come before; answered once it is kept. */
  take(ticket: number, conversation: Conversation, upTo: Seq, now: number): void {
    const seq = Math.min(upTo, this.#heads.get(conversation) ?? upTo);
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

  #exists(conversation: Conversation, seq: Seq): void {
    if (seq > (this.#heads.get(conversation) ?? 0)) this.#heads.set(conversation, seq);
  }

  #kept(): Change {
    return { put: "value", name: READS, value: this.#receipts.reads };
  }
}

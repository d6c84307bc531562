/**
 * One gap in one conversation, from its discovery until it is closed.
 *
 * @module
 */
import { type Backoff, delayMs } from "../backoff.js";
import type { Message, Seq, WireError } from "../../wire.js";

/** Most messages that wait behind a gap; what does not fit is asked from history once more. */
const HELD_MAX = 256;
/** Most characters of text that wait behind a gap. */
const HELD_CHARS_MAX = 4 * 1024 * 1024;
/** So often history may contradict the live tail, or not answer, before the gap is called one that stays. */
const FRUITLESS_MAX = 10;

/** What follows from an answer; `hopeless`: history cannot tell what lies between. */
export type Verdict = "goes on" | "closed" | "hopeless";

/** Knows what waits behind a gap and when history is to be asked. */
export class Repair {
  /** Whether the server wants to hear that everything is here, once it is. */
  confirms = false;
  readonly #backoff: Backoff;
  readonly #random: () => number;
  /** By sequence. */
  readonly #held = new Map<Seq, Message>();
  #chars = 0;
  #target: Seq = 0;
  #due: number | undefined;
  #failures = 0;
  #fruitless = 0;

  constructor(now: number, backoff: Backoff, random: () => number) {
    this.#due = now;
    this.#backoff = backoff;
    this.#random = random;
  }

  /** The highest sequence that was seen, held or not. */
  get target(): Seq {
    return this.#target;
  }

  /** When history is to be asked; `undefined` while a request is under way. */
  get due(): number | undefined {
    return this.#due;
  }

  /** Keeps a message from behind the gap, if there is room. */
  hold(message: Message): void {
    this.aim(message.seq);
    const chars = charsOf(message);
    if (this.#held.size >= HELD_MAX || this.#chars + chars > HELD_CHARS_MAX || this.#held.has(message.seq))
      return;
    this.#held.set(message.seq, message);
    this.#chars += chars;
  }

  /** There is something at `head`. */
  aim(head: Seq): void {
    this.#target = Math.max(this.#target, head);
  }

  /** Whether history is to be asked now; then a request counts as under way. */
  ask(now: number): boolean {
    if (this.#due === undefined || this.#due > now) return false;
    this.#due = undefined;
    return true;
  }

  /** The held messages that follow without a gap, now that all up to `known` is known; those before it are dropped. */
  release(cursor: Seq, known: Seq): Message[] {
    const released: Message[] = [];
    let reached = Math.max(cursor, known);
    for (const message of [...this.#held.values()].sort((one, other) => one.seq - other.seq)) {
      const follows = message.seq <= reached || (message.prev > 0 && message.prev <= reached);
      if (!follows) break;
      this.#held.delete(message.seq);
      this.#chars -= charsOf(message);
      if (message.seq > cursor) released.push(message);
      reached = Math.max(reached, message.seq);
    }
    return released;
  }

  /** History answered: `progress` if anything new was in it, `more` if it has more. */
  afterPage(cursor: Seq, progress: boolean, more: boolean, now: number): Verdict {
    if (cursor >= this.#target) return "closed";
    if (progress) this.#failures = this.#fruitless = 0;
    if (!progress || !more) return this.#inVain(now);
    this.#due = now;
    return "goes on";
  }

  /** History could not answer; without an error, it did not in time. */
  afterRefusal(error: WireError | undefined, now: number): Verdict {
    if (error === undefined) return this.#inVain(now);
    if (!error.retryable) return "hopeless";
    // A part of the server is away: however long that takes, it is not hopeless.
    this.#wait(error.retry_after_ms ?? 0, now);
    return "goes on";
  }

  #inVain(now: number): Verdict {
    this.#fruitless += 1;
    if (this.#fruitless >= FRUITLESS_MAX) return "hopeless";
    this.#wait(0, now);
    return "goes on";
  }

  #wait(atLeastMs: number, now: number): void {
    this.#due = now + atLeastMs + delayMs(this.#backoff, this.#failures, this.#random);
    this.#failures += 1;
  }
}

function charsOf(message: Message): number {
  return "text" in message ? (message.text?.length ?? 0) : 0;
}

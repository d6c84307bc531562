/**
 * What is heard of a conversation, and whether it follows what is loaded.
 *
 * @module
 */
import { type ChangeMessage, changed } from "../store/settle.js";
import type { Message, Seq } from "../wire.js";

/** Messages that are heard during a load, and wait for it. */
const KEPT_MAX = 1_000;

/** Edits and deletions that are remembered, for what loads later. */
const CHANGES_MAX = 500;

/** Follows the live messages of one conversation. */
export class Arrivals {
  /** The last one: up to it, what was heard has no hole. */
  #heard: Seq | undefined;
  #kept: Message[] | undefined;

  /** The end of the piece is being loaded: what is heard waits. */
  begin(): void {
    this.#kept = [];
  }

  end(): void {
    this.#kept = undefined;
  }

  /** These came; answers whether they follow a piece up to `end`. */
  came(messages: readonly Message[], end: Seq): boolean {
    const [first, last] = [messages[0], messages.at(-1)];
    if (first === undefined || last === undefined) return false;
    const before = this.#heard;
    this.#heard = last.seq;
    if (this.#kept !== undefined) {
      const joins = before !== undefined && first.prev <= before;
      this.#kept = joins ? [...this.#kept, ...messages] : [...messages];
      // What was dropped is asked for, because what follows it does not fit.
      if (this.#kept.length > KEPT_MAX) this.#kept = [];
    }
    // Its own word counts. Without one it follows what was heard before, which is not so of what another tab kept.
    return first.prev > 0 ? first.prev <= end : before !== undefined && before <= end;
  }

  /** Another connection begins, perhaps that of another tab: what was heard last is not what was told last. */
  anew(): void {
    this.#heard = undefined;
  }

  /** There is a hole after what was heard so far. */
  hole(): void {
    this.#heard = undefined;
    if (this.#kept !== undefined) this.#kept = [];
  }

  /** Those that waited and follow a piece up to `end`. */
  after(end: Seq): Message[] {
    const kept = this.#kept ?? [];
    const next = kept.findIndex((message) => message.seq > end);
    if (next < 0) return [];
    // One before it is in the piece, or its own word says that none lies between.
    const { prev } = kept[next]!;
    const follows = next > 0 || (prev > 0 && prev <= end) || (prev === 0 && end === 0);
    return follows ? kept.slice(next) : [];
  }
}

/** Edits and deletions that were heard: an answer that is older than one of them does not bring the old text back. */
export class HeardChanges {
  /** The last one of each message. */
  readonly #changes = new Map<Seq, ChangeMessage>();

  heard(change: ChangeMessage): void {
    if (this.#changes.size >= CHANGES_MAX) this.#changes.delete(this.#changes.keys().next().value!);
    if (this.#changes.get(change.target)?.kind !== "delete") this.#changes.set(change.target, change);
  }

  /** Messages of an answer, as they are since. */
  applied(messages: readonly Message[]): readonly Message[] {
    if (this.#changes.size === 0) return messages;
    return messages.map((message) => {
      const change = this.#changes.get(message.seq);
      return change === undefined ? message : changed(message, change);
    });
  }
}

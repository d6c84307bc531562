/**
 * The proof that nothing was missed.
 *
 * Per conversation there is one cursor: the highest sequence up to which everything was handed on. A message
 * whose predecessor lies beyond the cursor reveals a gap: it is held back until history has told what lies
 * between.
 *
 * @module
 */
import type { Backoff } from "../backoff.js";
import type { Conversation, Message, Page, Seq, WireError } from "../../wire.js";
import { Repair, type Verdict } from "./repair.js";

/** What is to be handed on: messages, ascending, then perhaps a gap that stays. */
export interface Shown {
  readonly messages: readonly Message[];
  /** A gap that could not be closed. */
  readonly truncated?: { readonly cursor: Seq; readonly head: Seq };
  /** The server asked whether everything up to here arrived, and it did. */
  readonly confirm?: Seq;
}

const NOTHING: Shown = { messages: [] };

interface Track {
  cursor: Seq;
  /** The cursor came from a list that was read beside the live tail: the first live message decides. */
  soft: boolean;
  repair?: Repair | undefined;
}

/** The cursors of one user, and the gaps. Times are milliseconds that never fall. */
export class Timeline {
  readonly #tracks = new Map<Conversation, Track>();
  /** Conversations with a repair; few, so that asking for the next deadline is cheap. */
  readonly #repairing = new Set<Conversation>();
  readonly #backoff: Backoff;
  readonly #random: () => number;

  constructor(cursors: ReadonlyMap<Conversation, Seq>, backoff: Backoff, random: () => number) {
    this.#backoff = backoff;
    this.#random = random;
    for (const [conversation, cursor] of cursors) this.know(conversation, cursor);
  }

  /** Nothing before `cursor` is missing. A cursor that is there already stays: whether this one is new. */
  know(conversation: Conversation, cursor: Seq, soft = false): boolean {
    if (this.#tracks.has(conversation)) return false;
    this.#tracks.set(conversation, { cursor, soft });
    return true;
  }

  /** Up to where nothing is missing. */
  cursor(conversation: Conversation): Seq | undefined {
    return this.#tracks.get(conversation)?.cursor;
  }

  /** All cursors, for the next `resume`. */
  cursors(): Record<Conversation, Seq> {
    const cursors: Record<Conversation, Seq> = {};
    for (const [conversation, { cursor }] of this.#tracks) cursors[conversation] = cursor;
    return cursors;
  }

  /** A message arrived, live or replayed. */
  arrived(message: Message, now: number): Shown {
    const { conversation, seq, prev } = message;
    const track = this.#tracks.get(conversation);
    if (track === undefined) {
      // The server answers for what came before the first message of a conversation.
      this.know(conversation, seq);
      return { messages: [message] };
    }
    const { soft } = track;
    track.soft = false;
    if (seq <= track.cursor && !soft) return NOTHING;
    if (track.repair !== undefined) {
      track.repair.hold(message);
      return NOTHING;
    }
    // 0 is "none that the server still remembers": nothing is proven unless there never was one.
    if (soft || (prev <= track.cursor && (prev > 0 || track.cursor === 0))) {
      track.cursor = seq;
      return { messages: [message] };
    }
    this.#repair(conversation, track, now).hold(message);
    return NOTHING;
  }

  /**
   * There is something at `head`. If everything up to it is here, that is to be confirmed; if not, history is
   * asked for what lies between, and it is confirmed then (with `confirms`).
   */
  announced(conversation: Conversation, head: Seq, now: number, confirms: boolean): Shown {
    // A conversation of which nothing was heard: as with a first message, the server answers for what came before.
    this.know(conversation, Math.max(head - 1, 0));
    const track = this.#tracks.get(conversation)!;
    if (track.cursor >= head) return confirms ? { messages: [], confirm: track.cursor } : NOTHING;
    track.soft = false;
    const repair = track.repair ?? this.#repair(conversation, track, now);
    repair.aim(head);
    repair.confirms ||= confirms;
    return NOTHING;
  }

  /** The server replays no further than `cursor`, and goes on behind `head`. */
  truncated(conversation: Conversation, cursor: Seq, head: Seq): Shown {
    this.know(conversation, cursor);
    const track = this.#tracks.get(conversation)!;
    track.soft = false;
    if (head <= track.cursor) return NOTHING;
    const jump = { cursor: Math.max(cursor, track.cursor), head };
    track.cursor = head;
    const messages = track.repair?.release(head, head) ?? [];
    track.cursor = messages.at(-1)?.seq ?? head;
    const confirm = track.repair?.confirms === true && this.#isClosed(track);
    if (this.#isClosed(track)) this.#endRepair(conversation, track);
    return { messages, truncated: jump, ...(confirm && { confirm: track.cursor }) };
  }

  /** The places from which history is to be asked now, at most `room`: conversation and cursor. */
  due(now: number, room: number): [Conversation, Seq][] {
    const asked: [Conversation, Seq][] = [];
    for (const conversation of this.#repairing) {
      if (asked.length >= room) break;
      const track = this.#tracks.get(conversation)!;
      if (track.repair?.ask(now)) asked.push([conversation, track.cursor]);
    }
    return asked;
  }

  /** When history is to be asked next. */
  get deadline(): number | undefined {
    let earliest: number | undefined;
    for (const conversation of this.#repairing) {
      const due = this.#tracks.get(conversation)?.repair?.due;
      if (due !== undefined && (earliest === undefined || due < earliest)) earliest = due;
    }
    return earliest;
  }

  /** History answered what {@link due} asked. */
  page(page: Page, now: number): Shown {
    const track = this.#tracks.get(page.conversation);
    const repair = track?.repair;
    if (track === undefined || repair === undefined) return NOTHING;
    const before = track.cursor;
    const messages: Message[] = [];
    for (const message of page.messages) {
      if (message.seq <= track.cursor) continue;
      track.cursor = message.seq;
      messages.push(message);
    }
    // History is the authority: where it says that there is no more, all up to its head is known, even if this
    // user may not see the messages at the end.
    const released = repair.release(track.cursor, page.more_after ? track.cursor : page.head);
    track.cursor = released.at(-1)?.seq ?? track.cursor;
    messages.push(...released);
    const verdict = repair.afterPage(track.cursor, track.cursor > before, page.more_after, now);
    return this.#conclude(page.conversation, track, messages, verdict);
  }

  /** History could not answer; without an error, it did not in time. */
  refused(conversation: Conversation, error: WireError | undefined, now: number): Shown {
    const track = this.#tracks.get(conversation);
    if (track?.repair === undefined) return NOTHING;
    return this.#conclude(conversation, track, [], track.repair.afterRefusal(error, now));
  }

  /** The connection is gone: the next one resumes from the cursors, so that no repair is needed. */
  disconnected(): void {
    for (const conversation of this.#repairing) {
      const track = this.#tracks.get(conversation);
      if (track !== undefined) track.repair = undefined;
    }
    this.#repairing.clear();
  }

  #conclude(conversation: Conversation, track: Track, messages: Message[], verdict: Verdict): Shown {
    if (verdict === "goes on") return { messages };
    const { confirms, target } = track.repair!;
    this.#endRepair(conversation, track);
    if (verdict === "closed") return { messages, ...(confirms && { confirm: track.cursor }) };
    const truncated = { cursor: track.cursor, head: Math.max(target, track.cursor) };
    track.cursor = truncated.head;
    return { messages, truncated };
  }

  #isClosed(track: Track): boolean {
    return track.repair !== undefined && track.cursor >= track.repair.target;
  }

  #repair(conversation: Conversation, track: Track, now: number): Repair {
    track.repair = new Repair(now, this.#backoff, this.#random);
    this.#repairing.add(conversation);
    return track.repair;
  }

  #endRepair(conversation: Conversation, track: Track): void {
    track.repair = undefined;
    this.#repairing.delete(conversation);
  }
}

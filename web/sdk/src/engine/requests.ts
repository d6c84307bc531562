/**
 * Questions over the socket that wait for their answer.
 *
 * @module
 */
import type { ClientFrame, Conversation } from "../wire.js";

/** No more are asked at the same time; the server answers no more of one session in parallel. */
const ASKED_MAX = 4;
/** No more of the application's questions wait. */
const APPLICATION_MAX = 64;

/** Who wants to know. */
export type Purpose =
  /** The application, by its ticket. The question survives a reconnect. */
  | { for: "application"; ticket: number }
  /** The timeline, for the gap in a conversation. */
  | { for: "repair"; conversation: Conversation }
  /** The first connection of a new device: where do the conversations stand? */
  | { for: "baseline" }
  /** After a resume that did not look at all conversations: which are behind? */
  | { for: "heads" }
  /** The fresh access token was handed in. */
  | { for: "token"; token: string }
  /** The people whose presence is shown. */
  | { for: "watch" };

type WithId<F> = F extends { type: "history" | "conversations" | "token" | "watch" } ? Omit<F, "id"> : never;
/** A question without its id. */
export type Ask = WithId<ClientFrame>;

interface Request {
  purpose: Purpose;
  ask: Ask;
  until: number;
  asked: boolean;
}

/** The open questions of one client. Times are milliseconds that never fall. */
export class Requests {
  #last = 0;
  readonly #open = new Map<string, Request>();

  /** Takes a question that is to be answered by `until`; `false` if too many of the application's wait. */
  add(purpose: Purpose, ask: Ask, until: number): boolean {
    if (purpose.for === "application" && this.count("application") >= APPLICATION_MAX) return false;
    this.#last += 1;
    this.#open.set(`q${this.#last}`, { purpose, ask, until, asked: false });
    return true;
  }

  /** How many are open for that. */
  count(purpose: Purpose["for"]): number {
    let count = 0;
    for (const request of this.#open.values()) if (request.purpose.for === purpose) count += 1;
    return count;
  }

  /** The frames of those that may be asked now. */
  pump(): ClientFrame[] {
    let asked = 0;
    for (const request of this.#open.values()) if (request.asked) asked += 1;
    const frames: ClientFrame[] = [];
    for (const [id, request] of this.#open) {
      if (asked >= ASKED_MAX) break;
      if (request.asked) continue;
      request.asked = true;
      asked += 1;
      frames.push({ ...request.ask, id } as ClientFrame);
    }
    return frames;
  }

  /**
   * What an answer of this id belongs to. One that does not fit its question is none: the question goes on
   * waiting, and ends by its time if nothing better comes.
   */
  answered(id: string, fits: (ask: Ask) => boolean = () => true): Purpose | undefined {
    const request = this.#open.get(id);
    if (request === undefined || !request.asked || !fits(request.ask)) return undefined;
    this.#open.delete(id);
    return request.purpose;
  }

  /** Those without an answer for too long; they are open no more. */
  expired(now: number): Purpose[] {
    return this.#take((request) => request.until <= now);
  }

  /**
   * The connection is gone: the application's questions are asked again on the next one, the others have lost
   * their sense.
   */
  disconnected(): void {
    this.#take((request) => request.purpose.for !== "application");
    for (const request of this.#open.values()) request.asked = false;
  }

  /** All, for the end; with `purpose`, those for it. */
  drain(purpose?: Purpose["for"]): Purpose[] {
    return this.#take((request) => purpose === undefined || request.purpose.for === purpose);
  }

  /** When the next one expires. */
  get deadline(): number | undefined {
    let earliest: number | undefined;
    for (const { until } of this.#open.values()) earliest = Math.min(earliest ?? Infinity, until);
    return earliest;
  }

  #take(which: (request: Request) => boolean): Purpose[] {
    const taken: Purpose[] = [];
    for (const [id, request] of this.#open) {
      if (!which(request)) continue;
      this.#open.delete(id);
      taken.push(request.purpose);
    }
    return taken;
  }
}

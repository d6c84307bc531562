/**
 * Where to connect: edges that discovery or a draining edge has named, and the configured server behind them.
 *
 * What was named is kept for a while and asked for again after a loss.
 *
 * @module
 */
import { followed, plain } from "./follow.js";

/** How long an answer is believed; up to half of it longer, so that a crowd does not ask at one moment. */
const FRESH_MS = 60_000;

/** After a loss an answer older than this is asked for again. A dead edge may be named for its lease's 6 s. */
const DOUBTED_AFTER_MS = 5_000;

/** The way of one client; without I/O and clock. Times are milliseconds that never fall. */
export class Route {
  readonly #configured: string;
  readonly #discovers: boolean;
  readonly #random: () => number;
  /** The best first. */
  #found: string[] = [];
  #askedAt: number | undefined;
  #freshUntil = 0;
  /** The one that was lost since the last answer: the answer may be wrong by now. */
  #lost: string | undefined;
  /** Those that failed since a connection came to be: tried again once all others were. */
  #failed = new Set<string>();
  /** Into {@link candidates}. */
  #place = 0;

  /** @param remembered - What was named to the run before: tried if nobody says more, and asked for the rest. */
  constructor(server: string, discovers: boolean, random: () => number, remembered: readonly string[] = []) {
    this.#configured = plain(server);
    this.#discovers = discovers;
    this.#random = random;
    if (discovers) this.#find(remembered);
  }

  /** The server to connect to. */
  get current(): string {
    return this.candidates[this.#place] ?? this.#configured;
  }

  /** All that may be connected to, and asked: those that were named, then the configured one. */
  get candidates(): string[] {
    return this.#found.includes(this.#configured) ? [...this.#found] : [...this.#found, this.#configured];
  }

  /** Whether discovery is to be asked before the next attempt. */
  wants(now: number): boolean {
    if (!this.#discovers) return false;
    if (this.#askedAt === undefined || now >= this.#freshUntil) return true;
    return this.#lost !== undefined && now >= this.#askedAt + DOUBTED_AFTER_MS;
  }

  /** What discovery answered, the best first; `undefined` if nobody could be asked: then what is known is used. */
  answered(now: number, edges: readonly string[] | undefined): void {
    this.#askedAt = now;
    this.#lost = undefined;
    if (edges === undefined) {
      // Not for as long as a good answer: whoever was away may be back soon.
      this.#freshUntil = now + DOUBTED_AFTER_MS;
      return;
    }
    this.#freshUntil = now + FRESH_MS * (1 + this.#random() / 2);
    this.#find(edges);
    // The dead may be named for a while, and first.
    const untried = this.candidates.findIndex((server) => !this.#failed.has(server));
    if (untried >= 0) this.#place = untried;
    else this.#failed.clear();
  }

  /** A connection came to be. */
  connected(): void {
    this.#failed.clear();
  }

  /** The edge in use drains and named these instead. Whether there is somewhere else to go: the current one then. */
  leave(now: number, edges: readonly string[]): boolean {
    const left = this.current;
    if (this.#discovers && edges.length > 0) {
      this.#find(edges);
      this.#askedAt = now;
      this.#freshUntil = now + FRESH_MS;
      this.#lost = undefined;
    } else {
      this.#lost = left;
    }
    const others = this.candidates.filter((server) => server !== left);
    const other = others.find((server) => !this.#failed.has(server)) ?? others[0];
    if (other === undefined) return false;
    this.#place = this.candidates.indexOf(other);
    return true;
  }

  /** A connection was lost that had come to be: the same one is tried again. */
  lost(): void {
    this.#lost = this.current;
    this.#failed.add(this.#lost);
  }

  /** There was none, or the server said to go: the next one in turn. */
  next(): void {
    this.lost();
    const candidates = this.candidates;
    const behind = candidates.map((_, step) => (this.#place + 1 + step) % candidates.length);
    const untried = behind.find((place) => !this.#failed.has(candidates[place]!));
    if (untried === undefined) this.#failed.clear();
    this.#place = untried ?? behind[0]!;
  }

  #find(edges: readonly string[]): void {
    this.#found = followed(edges, this.#configured);
    this.#place = 0;
  }
}

/** The address of a server's socket: `wss://…/v1/ws`. */
export function socketAddress(server: string): string {
  return `${plain(server).replace(/^http/, "ws")}/v1/ws`;
}

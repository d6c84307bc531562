/**
 * What is true of one connection only, from `ready` on: whether the server is there, how long the token lasts,
 * when to leave.
 *
 * A browser shows no ping frames, so a silent connection is asked with a `ping` of the protocol. Any frame counts
 * as an answer. A connection that is doubted (the device woke up, a send has no answer) is asked at once.
 *
 * @module
 */
import type { Limits, Millis, Ready, UserId } from "../../wire.js";
import { earliest } from "./io.js";

/** How early before its end a token is renewed, at most. */
const TOKEN_LEAD_MS = 60_000;
/** How long to wait before the token source is asked again. */
const TOKEN_RETRY_MS = 5_000;
/** Never so short that a stutter of the network breaks the connection. */
const SILENCE_MIN_MS = 1_000;
/** After what part of the time that silence may last the server is asked. */
const ASK_AFTER = 0.6;

/** One connection. Times are milliseconds that never fall. */
export class Session {
  readonly since: number;
  readonly limits: Limits;
  readonly me: UserId;
  /** The edge drains, and this is when to leave it. */
  leavesAt: number | undefined;
  readonly #silenceMs: number;
  /** The server's clock at {@link since}. */
  readonly #serverNow: Millis;
  #heard: number;
  /** A ping is out, and this is when the server is given up. */
  #doubtedUntil: number | undefined;
  #tokenDue: number | undefined;

  constructor(now: number, ready: Ready) {
    this.since = now;
    this.limits = ready.limits;
    this.me = ready.user.id;
    this.#heard = now;
    this.#silenceMs = Math.max(ready.ping_interval_ms * 1.5, SILENCE_MIN_MS);
    this.#serverNow = ready.now;
    this.tokenUntil(now, ready.token_expires_at);
  }

  heard(now: number): void {
    this.#heard = now;
    this.#doubtedUntil = undefined;
  }

  /** When the server is to be asked whether it is there, if it was not. */
  get askAt(): number | undefined {
    return this.#doubtedUntil === undefined ? this.#heard + this.#silenceMs * ASK_AFTER : undefined;
  }

  /** When the server is given up. */
  get silentAt(): number {
    return this.#doubtedUntil ?? this.#heard + this.#silenceMs;
  }

  /** When to ask because an answer has been owed since `since`. */
  doubtAt(since: number | undefined, patienceMs: number): number | undefined {
    if (since === undefined || this.#doubtedUntil !== undefined) return undefined;
    return Math.max(since, this.#heard) + patienceMs;
  }

  /** A ping goes out now; whether it should (one is enough). Without a patience, silence may last as long as ever. */
  doubt(now: number, patienceMs?: number): boolean {
    if (patienceMs === undefined) {
      if (this.#doubtedUntil !== undefined) return false;
      this.#doubtedUntil = Math.max(this.#heard + this.#silenceMs, now);
      return true;
    }
    const until = now + patienceMs;
    if (this.#doubtedUntil !== undefined && this.#doubtedUntil <= until) return false;
    this.#doubtedUntil = until;
    return true;
  }

  /**
   * The timers were late, so that silence proves nothing: the server is asked, and gets a moment from now on. Who
   * was asked before has had it: in a tab that is held back, all timers are late.
   */
  awoke(now: number, patienceMs: number): boolean {
    if (this.#doubtedUntil !== undefined) return false;
    this.#doubtedUntil = now + patienceMs;
    return true;
  }

  /** A new token is in force until then, by the server's clock; without a time, until it is refused. */
  tokenUntil(now: number, expiresAt: Millis | undefined): void {
    if (expiresAt === undefined) {
      this.#tokenDue = undefined;
      return;
    }
    const left = Math.max(expiresAt - (this.#serverNow + (now - this.since)), 0);
    // A source that gives tokens of a few seconds must not be asked without a pause.
    this.#tokenDue = now + Math.max(left - Math.min(TOKEN_LEAD_MS, left / 2), 1_000);
  }

  retryToken(now: number): void {
    this.#tokenDue = now + TOKEN_RETRY_MS;
  }

  /** When a new token is to be asked for. */
  get tokenDue(): number | undefined {
    return this.#tokenDue;
  }

  /** When there is something to do. */
  get deadline(): number {
    return earliest(this.askAt, this.silentAt, this.#tokenDue) ?? this.silentAt;
  }
}

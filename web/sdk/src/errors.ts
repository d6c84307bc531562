/**
 * What can go wrong, as types.
 *
 * @module
 */
import type { ErrorCode, WireError } from "./wire.js";

/** The server refused a request: {@link code} is of the one error table of docs/protocol.md. */
export class ServerError extends Error {
  override readonly name = "ServerError";
  /** For programs. */
  readonly code: ErrorCode;
  /** Whether the same request may succeed later. */
  readonly retryable: boolean;
  /** When, at the earliest, in milliseconds from now. */
  readonly retryAfterMs: number | undefined;

  constructor(error: WireError) {
    super(error.message);
    this.code = error.code;
    this.retryable = error.retryable;
    this.retryAfterMs = error.retry_after_ms;
  }
}

/** No server answered, or what answered was not one. Whether the request was done is not known. */
export class UnreachableError extends Error {
  override readonly name = "UnreachableError";
  /** It was taken, and the answer came not in time or not whole: it is likely that it was done. */
  readonly late: boolean;

  constructor(message: string, { late = false, ...options }: ErrorOptions & { late?: boolean } = {}) {
    super(message, options);
    this.late = late;
  }
}

/**
 * There is no valid access token to be had: log in again. A {@link TokenSource} throws it, and it ends the
 * client; any other error of a source counts as "not now" and is tried again with backoff.
 */
export class SignedOutError extends Error {
  override readonly name = "SignedOutError";
  /** The device was signed out by somebody: the client stops with `revoked` instead of `signed_out`. */
  readonly revoked: boolean;

  constructor(message: string, { revoked = false, ...options }: ErrorOptions & { revoked?: boolean } = {}) {
    super(message, options);
    this.revoked = revoked;
  }
}

/** The client was stopped, for the reason given; no call is answered any more. */
export class StoppedError extends Error {
  override readonly name = "StoppedError";
}

/** The application asked for something that cannot be: the message says what. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

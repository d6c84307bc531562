/**
 * Where access tokens come from.
 *
 * @module
 */
import type { DeviceId, Millis } from "../wire.js";

/** A token to show. */
export interface AccessToken {
  token: string;
  /** When it ends, if that is known. */
  expiresAt?: Millis;
  /** With a bring-your-own JWT: the device, made once and kept. */
  device?: DeviceId;
}

/**
 * Asked for a token at the start, before it expires, and when the server refused the last one
 * (`refused`: do not give that one again).
 *
 * Throw {@link SignedOutError} when there is none to be had: the client then stops with `signed_out`, or with
 * `revoked` if the error says so.
 */
export type TokenSource = (why: { refused?: string }) => Promise<AccessToken>;

/**
 * Errors of the SDK in words: what happened and what to do.
 *
 * @module
 */
import { ServerError, SignedOutError, UnreachableError, type WireError } from "natterjack-sdk";

import { common } from "./i18n/common.js";
import { locale } from "./i18n/i18n.svelte.js";
import { duration } from "./time.js";

/** An error's code and time to wait in words. For a code without words of ours, the server's own message. */
function describeCode(error: Pick<WireError, "code" | "message" | "retry_after_ms">): string {
  const t = common();
  switch (error.code) {
    case "rate_limited":
      return t.rateLimited(
        error.retry_after_ms === undefined ? undefined : duration(locale(), error.retry_after_ms),
      );
    case "overloaded":
    case "unavailable":
      return t.unavailable;
    case "unauthorized":
    case "token_expired":
    case "revoked":
      return t.signedOut;
    case "forbidden":
      return t.forbidden;
    case "not_member":
      return t.notMember;
    case "not_found":
      return t.notFound;
    case "handle_taken":
      return t.handleTaken;
    case "group_full":
      return t.groupFull;
    case "last_owner":
      return t.lastOwner;
    case "too_large":
    case "text_too_long":
      return t.tooLong;
    case "timeout":
      return t.timeout;
    case "internal":
      return t.unexpected;
    default:
      return error.message;
  }
}

/** What a thrown error, or the error of a refused message, means for the person. */
export function describe(error: unknown): string {
  if (error instanceof ServerError) {
    return describeCode({
      code: error.code,
      message: error.message,
      ...(error.retryAfterMs === undefined ? {} : { retry_after_ms: error.retryAfterMs }),
    });
  }
  if (error instanceof UnreachableError) return common().unreachable;
  if (error instanceof SignedOutError) return common().signedOut;
  if (typeof error === "object" && error !== null && "code" in error && "message" in error) {
    return describeCode(error as WireError);
  }
  return common().unexpected;
}

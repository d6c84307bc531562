/**
 * Tokens that are asked for once and used until they end.
 *
 * @module
 */
import type { AccessToken, TokenSource } from "./tokens.js";

/** A token that ends within this time, by this device's clock, is not used any more. */
const LEAD_MS = 30_000;

/** A source that remembers the token of another one while it is good, and asks it once at a time. */
export function cachedTokens(source: TokenSource, wall: () => number = Date.now): TokenSource {
  let last: AccessToken | undefined;
  let asking: Promise<AccessToken> | undefined;
  let askedRefusing: string | undefined;

  const good = (refused: string | undefined): AccessToken | undefined =>
    last !== undefined && last.token !== refused && (last.expiresAt ?? Infinity) > wall() + LEAD_MS
      ? last
      : undefined;

  return async (why) => {
    const { refused } = why;
    // A question that does not know of the refusal may be answered with the refused token.
    if (asking !== undefined && refused !== undefined && refused !== askedRefusing)
      await asking.catch(() => {});
    const known = good(refused);
    if (known !== undefined) return known;
    if (asking === undefined) {
      askedRefusing = refused;
      asking = source(refused === undefined && last !== undefined ? { refused: last.token } : why);
      asking = asking.finally(() => {
        asking = undefined;
      });
    }
    last = await asking;
    return last;
  };
}

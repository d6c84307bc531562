/**
 * Tokens that are asked for once and used until they end.
 *
 * @module
 */
import type { AccessToken, TokenSource } from "./tokens.js";

/** A token that ends within this time, by this device's clock, is not used any more. */
const LEAD_MS = 30_000;
/** A fresh token that has ended by this device's clock says that the clock is wrong: so long it is used all the same. */
const BELIEVED_MS = 60_000;

/** A source that remembers the token of another one while it is good, and asks it once at a time. */
export function cachedTokens(source: TokenSource, wall: () => number = Date.now): TokenSource {
  let last: AccessToken | undefined;
  let goodUntil = 0;
  let asking: Promise<AccessToken> | undefined;
  let askedRefusing: string | undefined;

  const good = (refused: string | undefined): AccessToken | undefined =>
    last !== undefined && last.token !== refused && goodUntil > wall() ? last : undefined;

  const ask = async (refused: string | undefined): Promise<AccessToken> => {
    const token = await source(refused === undefined ? {} : { refused });
    last = token;
    goodUntil = Math.max((token.expiresAt ?? Infinity) - LEAD_MS, wall() + BELIEVED_MS);
    return token;
  };

  return async ({ refused }) => {
    // A question that does not know of the refusal may be answered with the refused token.
    if (asking !== undefined && refused !== undefined && refused !== askedRefusing)
      await asking.catch(() => {});
    const known = good(refused);
    if (known !== undefined) return known;
    if (asking === undefined) {
      askedRefusing = refused ?? last?.token;
      asking = ask(askedRefusing).finally(() => {
        asking = undefined;
      });
    }
    return asking;
  };
}

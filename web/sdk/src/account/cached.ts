/**
 * Tokens that are asked for once and used until they end.
 *
 * @module
 */
import { lifetimeMs } from "./jwt.js";
import type { AccessToken, TokenSource } from "./tokens.js";

/** A token that ends within this time, by this device's clock, is not used any more. */
const LEAD_MS = 30_000;
/** A token of unknown life that comes and has ended by this device's clock is used for so long all the same. */
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
    goodUntil = (token.expiresAt ?? Infinity) - LEAD_MS;
    // It comes, and has ended: the clock is wrong. It lasts for its life at most, and else the server refuses it.
    if (goodUntil <= wall()) goodUntil = wall() + (lifetimeMs(token.token) ?? BELIEVED_MS);
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

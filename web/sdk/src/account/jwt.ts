/**
 * How long a JWT lasts from its issue to its end. Only that is read: what it says is the server's matter.
 *
 * @module
 */

/** Milliseconds from `iat` to `exp`; `undefined` of a token that does not tell. */
export function lifetimeMs(token: string): number | undefined {
  try {
    const [, payload = ""] = token.split(".");
    const claims = JSON.parse(atob(payload.replace(/-/g, "+").replace(/_/g, "/"))) as Record<string, unknown>;
    const { iat, exp } = claims;
    return typeof iat === "number" && typeof exp === "number" && exp > iat ? (exp - iat) * 1_000 : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Which addresses of edges that somebody named may be followed.
 *
 * Never to where the configuration does not lead: from `https` to `http`, or from elsewhere to this very machine (an
 * edge whose operator told it no public address names the one that it listens on).
 *
 * @module
 */

/** More than an edge names, so that a list without end does no harm. */
const FOUND_MAX = 64;

/** Those of the addresses that somebody named which may be followed, each once. */
export function followed(edges: readonly string[], configured: string): string[] {
  const found = new Set<string>();
  for (const edge of edges) {
    if (found.size >= FOUND_MAX) break;
    if (typeof edge === "string" && follows(edge, configured)) found.add(plain(edge));
  }
  return [...found];
}

function follows(edge: string, configured: string): boolean {
  const to = parsed(edge);
  const from = parsed(configured);
  if (to === undefined || from === undefined) return false;
  if (isSecure(from) && !isSecure(to)) return false;
  return isThisMachine(from) || !isThisMachine(to);
}

function parsed(text: string): URL | undefined {
  try {
    const url = new URL(text);
    return /^(https?|wss?):$/.test(url.protocol) && url.hostname !== "" ? url : undefined;
  } catch {
    return undefined;
  }
}

function isSecure(url: URL): boolean {
  return url.protocol === "https:" || url.protocol === "wss:";
}

function isThisMachine(url: URL): boolean {
  // `URL` has written addresses out in one form by now: 127.1 is 127.0.0.1, and v4 in v6 is in hexadecimal.
  const host = url.hostname.replace(/^\[|\]$/g, "").replace(/\.$/, "");
  return (
    host === "localhost" ||
    host.endsWith(".localhost") ||
    /^(127\.\d+\.\d+\.\d+|0\.0\.0\.0|::1?|::ffff:(7f[0-9a-f]{2}:[0-9a-f]{1,4}|0:0))$/.test(host)
  );
}

/** An address as it is compared. */
export function plain(server: string): string {
  return server.replace(/\/+$/, "");
}

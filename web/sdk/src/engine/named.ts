/**
 * Edges that were named, as they are remembered: with the time, for a name is not an edge's for ever.
 *
 * @module
 */
import type { Millis } from "../wire.js";

/** The name in the store of the edges that were named last: the way back when the configured server is gone. */
export const EDGES = "edges";

/**
 * How long names are believed after they were heard. Tokens and passwords are shown to them when the configured server
 * is gone, and the name of an edge that was retired may become somebody else's: docs/operations.md asks operators to
 * keep it for this long. A week, so that a device that was away over a holiday finds the way back.
 */
export const BELIEVED_MS = 7 * 24 * 60 * 60_000;

/** Edges and when they were named, by this device's clock. */
export interface NamedEdges {
  at: Millis;
  edges: readonly string[];
}

/** Those that are still believed, of what was kept: also of something else, such as names without a time. */
export function believed(kept: unknown, now: Millis): readonly string[] {
  if (typeof kept !== "object" || kept === null) return [];
  const { at, edges } = kept as Partial<NamedEdges>;
  // A clock that was set back is no reason to believe for longer.
  const young = typeof at === "number" && Math.abs(now - at) <= BELIEVED_MS;
  return young && Array.isArray(edges) ? edges : [];
}

/**
 * For how long a conversation can be muted. Pure.
 *
 * @module
 */
import type { Mute } from "natterjack-sdk";

/** The choices, as names of the catalogue. */
export const SPANS = ["hour", "eightHours", "tomorrow", "forEver"] as const;
export type Span = (typeof SPANS)[number];

const HOUR = 3_600_000;

/** When a mute of that length ends that begins now; never, for `forEver`. */
export function endOf(span: Span, now: number): number | undefined {
  if (span === "hour") return now + HOUR;
  if (span === "eightHours") return now + 8 * HOUR;
  if (span === "forEver") return undefined;
  const morning = new Date(now);
  // Whoever is up after midnight means the morning after the next sleep, and that is the same day's.
  if (morning.getHours() >= 5) morning.setDate(morning.getDate() + 1);
  return morning.setHours(8, 0, 0, 0);
}

/** The mute as the server takes it. */
export function muteFor(span: Span, mentions: boolean, now: number): Mute {
  const until = endOf(span, now);
  return until === undefined ? { mentions } : { until, mentions };
}

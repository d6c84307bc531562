/**
 * How much is kept on a device. All of it but the outbox is a copy, so that letting go costs a request later.
 *
 * @module
 */

/** Numbers of messages. */
export interface Bounds {
  /** Kept of one conversation; the oldest go first. */
  perConversation: number;
  /** Kept in all; conversations that were not opened for longest go first, as a whole. */
  total: number;
}

/** About 25 MB of ordinary texts. */
export const BOUNDS: Bounds = { perConversation: 2_000, total: 50_000 };

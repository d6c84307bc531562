/**
 * Where the reader was in each conversation, for coming back to it; as long as the page lives.
 *
 * @module
 */
import type { Conversation, Seq } from "natterjack-sdk";

/** A message, and how far below the upper edge of the list its text begins. */
export interface Left {
  readonly seq: Seq;
  readonly top: number;
}

/** Conversations that are remembered. */
const PLACES_MAX = 100;

const places = new Map<Conversation, Left>();

/** Remembers a place; none (the end) takes it away. */
export function leave(conversation: Conversation, place: Left | undefined): void {
  places.delete(conversation);
  if (place) places.set(conversation, place);
  const oldest = places.keys().next().value;
  if (places.size > PLACES_MAX && oldest !== undefined) places.delete(oldest);
}

/** Where the reader was, unless that was the end. */
export function returning(conversation: Conversation): Left | undefined {
  return places.get(conversation);
}

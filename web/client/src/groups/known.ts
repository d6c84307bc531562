/**
 * Whom one talks with already: offered before anything is searched for.
 *
 * @module
 */
import type { ConversationEntry, Profile, UserId } from "natterjack-sdk";

/** The others of the most recent 1:1 chats, and those of them whom a query means. */
export function knownPeople(entries: readonly ConversationEntry[], me: UserId, limit: number): Profile[] {
  const people: Profile[] = [];
  for (const { summary } of entries) {
    if (people.length >= limit) break;
    if (summary.peer && summary.peer.id !== me) people.push(summary.peer);
  }
  return people;
}

/** One list of two, without repetitions. */
export function merge(first: readonly Profile[], second: readonly Profile[]): Profile[] {
  const seen = new Set(first.map((person) => person.id));
  return [...first, ...second.filter((person) => !seen.has(person.id))];
}

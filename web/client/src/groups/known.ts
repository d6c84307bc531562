/**
 * Whom one talks with already: offered before anything is searched for.
 *
 * @module
 */
import type { ConversationEntry, Profile, UserId } from "natterjack-sdk";

/** The others of the most recent 1:1 chats. */
export function knownPeople(entries: readonly ConversationEntry[], me: UserId, limit: number): Profile[] {
  const people: Profile[] = [];
  for (const { summary } of entries) {
    if (people.length >= limit) break;
    if (summary.peer && summary.peer.id !== me) people.push(summary.peer);
  }
  return people;
}

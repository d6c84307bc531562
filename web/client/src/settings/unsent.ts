/**
 * What would be lost with this device's data: messages that the server does not have yet.
 */
import type { Client } from "natterjack-sdk";

/** How many messages, edits and deletions wait or were refused. */
export function unsent(client: { conversations: Pick<Client["conversations"], "snapshot"> }): number {
  return client.conversations.snapshot.reduce((sum, entry) => sum + entry.waiting + entry.failed, 0);
}

/**
 * Before a conversation opens: is it known how far one has read?
 *
 * @module
 */
import type { Client, Conversation } from "natterjack-sdk";

/** A server that says nothing for so long keeps nobody from what is kept on this device. */
const KNOWN_WITHIN_MS = 2_000;

/**
 * Waits for the list of conversations, which says how far one has read: on a device that was here before it is
 * known already, and without a connection there is nothing to wait for.
 */
export function known(client: Client, conversation: Conversation): Promise<void> {
  if (client.conversations.get(conversation)) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      undo.forEach((end) => end());
      resolve();
    };
    const timer = setTimeout(done, KNOWN_WITHIN_MS);
    const undo: (() => void)[] = [
      client.on("ready", done),
      // What is kept may be on its way from the disk.
      client.conversations.subscribe(() => client.conversations.get(conversation) && done()),
      client.on("connection", ({ state }) => {
        if (state === "waiting" || state === "stopped") done();
      }),
    ];
    if (["online", "waiting", "stopped"].includes(client.connection.state)) done();
  });
}

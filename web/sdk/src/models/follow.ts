/**
 * The events of one conversation.
 *
 * @module
 */
import type { ClientEvents } from "../events.js";
import type { Hub } from "../hub.js";
import type { Conversation } from "../wire.js";

/** Events that name a conversation. */
type Named = "messages" | "truncated" | "receipts";

/** Listeners of one conversation's events. */
export type Listeners = { [K in Named]: (event: ClientEvents[K]) => void } & {
  outbox: (event: ClientEvents["outbox"]) => void;
  /** The connection is there again. */
  online: () => void;
  /** A connection begins. */
  ready: () => void;
  /** All that was missed was told. */
  resumed: () => void;
};

/** Listens until the returned function is called. */
export function followConversation(hub: Hub, conversation: Conversation, listeners: Listeners): () => void {
  const named = (["messages", "truncated", "receipts"] as const).map(<K extends Named>(type: K) =>
    hub.on(type, (event) => {
      if (event.conversation === conversation) (listeners[type] as (event: ClientEvents[K]) => void)(event);
    }),
  );
  const all = [
    ...named,
    hub.on("outbox", (event) => {
      if (event.entry.conversation === conversation) listeners.outbox(event);
    }),
    hub.on("ready", () => listeners.ready()),
    hub.on("resumed", () => listeners.resumed()),
    hub.on("connection", ({ state }) => {
      if (state === "online") listeners.online();
    }),
  ];
  return () => {
    for (const undo of all) undo();
  };
}

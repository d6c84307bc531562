/**
 * What is shown of a message.
 *
 * @module
 */
import type { OutboxEntry } from "../events.js";
import type { Status, ThreadItem } from "./models.js";
import type { ShownMessage } from "./piece.js";

/** What an item depends on beside its message. */
export interface Around {
  own: boolean;
  /** An edit or deletion of it in the outbox. */
  change: OutboxEntry | undefined;
  replyTo?: NonNullable<ThreadItem["replyTo"]>;
  status?: Status;
}

/** The item of a message. An edit that waits is shown as if it were done; one that was refused is not. */
export function itemOf(message: ShownMessage, { own, change, replyTo, status }: Around): ThreadItem {
  const base = {
    key: message.id,
    seq: message.seq,
    sender: message.sender,
    own,
    at: message.sent_at,
  };
  if (message.kind === "event") {
    return { ...base, kind: "event", event: message.event, deleted: false, edited: false };
  }
  const { content, failed } = change ?? {};
  const edit = content?.kind === "edit" && failed === undefined ? content.text : undefined;
  const text = message.text === undefined ? undefined : (edit ?? message.text);
  return {
    ...base,
    kind: "text",
    ...(text !== undefined && { text }),
    deleted: message.deleted !== undefined,
    edited: message.edited !== undefined && message.deleted === undefined,
    ...(replyTo !== undefined && { replyTo }),
    ...(status !== undefined && { status }),
    ...(change !== undefined &&
      content !== undefined &&
      content.kind !== "text" && {
        change: { id: change.id, kind: content.kind, ...(failed !== undefined && { error: failed }) },
      }),
  };
}

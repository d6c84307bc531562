/**
 * What the tests of threads share.
 *
 * @module
 */
import type { OutboxEntry } from "../../src/events.js";
import { ThreadModel } from "../../src/models/thread.js";
import { DM } from "../store/messages.js";
import type { World } from "./world.js";

/** A thread of a world's conversation. */
export const open = (world: World) => new ThreadModel(world, world.conversation, () => undefined);
export const seqs = (thread: ThreadModel) => thread.snapshot.items.map((item) => item.seq);
export const item = (thread: ThreadModel, seq: number) =>
  thread.snapshot.items.find((other) => other.seq === seq)!;

/** An entry of the outbox. */
export function entry(
  id: string,
  order: number,
  content: OutboxEntry["content"] = { kind: "text", text: id },
): OutboxEntry {
  return { id, conversation: DM, order, at: 1, content };
}

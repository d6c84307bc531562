/**
 * How messages that arrive settle among those that are kept: an edit or a deletion also changes its target,
 * whichever of the two came first, and an older state never takes the place of a newer one.
 *
 * @module
 */
import type { Message, Seq, TextMessage } from "../wire.js";

/** A message that changes another. */
export type ChangeMessage = Extract<Message, { kind: "edit" | "delete" }>;

/** Whether it changes another message. */
export function isChange(message: Message): message is ChangeMessage {
  return message.kind === "edit" || message.kind === "delete";
}

/**
 * The target after a change: the same object where the change has no effect, because somebody else's text cannot
 * be edited, in a 1:1 chat not be deleted either, and what is deleted stays so.
 */
export function changed(target: Message, change: ChangeMessage): Message {
  if (target.kind !== "text" || target.seq !== change.target) return target;
  const own = target.sender === change.sender;
  // An edit without a text is one whose target was deleted since.
  if (change.kind === "delete" || change.text === undefined) {
    const at = change.kind === "delete" ? change.seq : (change.deleted ?? change.seq);
    const may = own || target.conversation.startsWith("group.");
    return may && at < (target.deleted ?? Infinity) ? withoutText(target, at) : target;
  }
  if (!own || target.deleted !== undefined || change.seq <= (target.edited ?? 0)) return target;
  return { ...target, text: change.text, edited: change.seq };
}

function withoutText<M extends Extract<Message, { kind: "text" | "edit" }>>(message: M, deleted: Seq): M {
  const { text: _, ...rest } = message;
  const { edited: __, ...bare } = rest as typeof rest & { edited?: Seq };
  return { ...bare, deleted } as unknown as M;
}

/** Of two tellings of one message the newer state, with the better knowledge of what came before. */
export function newer(kept: Message | undefined, told: Message): Message {
  if (kept === undefined || kept === told) return told;
  const state = stateOf(kept) > stateOf(told) ? kept : told;
  // In a live message, 0 is "not known".
  const prev = told.prev > 0 ? told.prev : kept.prev;
  return state.prev === prev ? state : { ...state, prev };
}

/** Orders the states of one message: higher is newer. */
export function stateOf(message: Message): number {
  if (message.kind !== "text" && message.kind !== "edit") return 0;
  if (message.deleted !== undefined) return Infinity;
  return (message as TextMessage).edited ?? 0;
}

/**
 * What is to be kept after messages of one conversation arrived.
 *
 * @param told What arrived.
 * @param kept Looks up what is kept.
 * @param changes Edits and deletions that are kept and name one of `told`, or the target of one of `told`.
 */
export function settle(
  told: readonly Message[],
  kept: (seq: Seq) => Message | undefined,
  changes: readonly ChangeMessage[],
): Message[] {
  const result = new Map<Seq, Message>();
  for (const message of told)
    result.set(message.seq, newer(result.get(message.seq) ?? kept(message.seq), message));
  const all = [...changes, ...told.filter(isChange)].sort((a, b) => a.seq - b.seq);
  for (const change of all) {
    const target = result.get(change.target) ?? kept(change.target);
    if (target === undefined) continue;
    const after = changed(target, change);
    if (after !== target) result.set(change.target, after);
  }
  // Nothing of a deleted text stays, the texts of its edits neither.
  for (const change of all) {
    if (change.kind !== "edit") continue;
    const target = result.get(change.target);
    const now = result.get(change.seq) ?? change;
    if (target?.kind !== "text" || target.deleted === undefined) continue;
    if (now.kind === "edit" && now.text !== undefined)
      result.set(change.seq, withoutText(now, target.deleted));
  }
  return [...result.values()];
}

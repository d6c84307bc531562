/** Messages for tests of stores and models. */
import type {
  Conversation,
  EditMessage,
  DeleteMessage,
  EventMessage,
  GroupEvent,
  TextMessage,
} from "../../src/wire.js";

export const ME = "01j9z3k4m5n6p7q8r9s0t1v2w3";
export const OTHER = "01j9z3m8x2c4v6b8n0q2w4e6r8";
export const DM: Conversation = `dm.${ME}.${OTHER}`;
export const GROUP: Conversation = "group.01j9z4c5v6b7n8m9q0w1e2r3t4";

type Rest<M> = Partial<Omit<M, "kind">>;

function base(seq: number): {
  conversation: Conversation;
  seq: number;
  prev: number;
  id: string;
  sender: string;
  sent_at: number;
} {
  return { conversation: DM, seq, prev: seq - 1, id: `id-${seq}`, sender: OTHER, sent_at: seq * 1_000 };
}

export function text(seq: number, rest: Rest<TextMessage> = {}): TextMessage {
  return { ...base(seq), kind: "text", text: `text ${seq}`, ...rest };
}

export function edit(seq: number, target: number, rest: Rest<EditMessage> = {}): EditMessage {
  return { ...base(seq), kind: "edit", text: `edited by ${seq}`, target, ...rest };
}

export function deletion(seq: number, target: number, rest: Rest<DeleteMessage> = {}): DeleteMessage {
  return { ...base(seq), kind: "delete", target, ...rest };
}

export function event(seq: number, event: GroupEvent, rest: Rest<EventMessage> = {}): EventMessage {
  return { ...base(seq), conversation: GROUP, kind: "event", event, ...rest };
}

/** Texts of all these sequences, each the successor of the one before. */
export function texts(from: number, to: number): TextMessage[] {
  return Array.from({ length: to - from + 1 }, (_, index) => text(from + index));
}

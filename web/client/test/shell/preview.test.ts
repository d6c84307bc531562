/** The second line of an entry of the list. */
import type { ConversationEntry, Preview, Summary } from "natterjack-sdk";
import { describe, expect, it } from "vitest";

import { lineOf, mutedNow, oneLine, tickOf } from "../../src/shell/preview.js";

const ME = "01j9z3m8x2c4v6b8n0q2w4e6r8";
const ANN = "01j9z3k4m5n6p7q8r9s0t1v2w3";

const last: Preview = {
  seq: 10,
  id: "01930a6e-5c01-7d4e-8f60-1a2b3c4d5e6f",
  sender: ME,
  sent_at: 1,
  kind: "text",
  text: "Shall we?",
};
const summary: Summary = {
  conversation: `dm.${ANN}.${ME}`,
  head: 10,
  last_message: last,
  unread: 0,
  cursor: { delivered: 10, read: 10 },
  peer_cursor: { delivered: 0, read: 0 },
};
function entry(change: Partial<ConversationEntry> = {}, of: Partial<Summary> = {}): ConversationEntry {
  const whole = { ...summary, ...of };
  return {
    conversation: whole.conversation,
    summary: whole,
    typing: [],
    waiting: 0,
    failed: 0,
    draft: "",
    ...change,
  };
}
const cursor = (delivered: number, read: number) => ({ peer_cursor: { delivered, read } });

describe("the line", () => {
  it("says who writes before all else", () => {
    expect(lineOf(entry({ typing: [ANN], draft: "but" }), false)).toEqual({ kind: "typing", users: [ANN] });
  });

  it("shows a draft, except of the conversation that is open", () => {
    expect(lineOf(entry({ draft: "but\n I" }), false)).toEqual({ kind: "draft", text: "but I" });
    expect(lineOf(entry({ draft: "but" }), true)).toMatchObject({ kind: "text" });
    expect(lineOf(entry({ draft: "  " }), false)).toMatchObject({ kind: "text" });
  });

  it("shows what waits, beside its clock", () => {
    const waits = entry({ waiting: 1, unsent: { text: "On my\nway", at: 2 } });
    expect(lineOf(waits, false, ME)).toEqual({ kind: "text", text: "On my way", sender: ME });
    expect(tickOf(waits, ME)).toBe("waiting");
  });

  it("tells texts, deletions, events and nothing apart", () => {
    const { text: _, ...without } = last;
    const { last_message: __, ...empty } = summary;
    expect(lineOf(entry(), false)).toEqual({ kind: "text", text: "Shall we?", sender: ME });
    expect(lineOf(entry({}, { last_message: without }), false)).toEqual({ kind: "deleted" });
    expect(lineOf(entry({}, { last_message: { ...without, kind: "event" } }), false)).toEqual({
      kind: "changed",
    });
    expect(lineOf({ ...entry(), summary: empty }, false)).toEqual({ kind: "empty" });
  });

  it("is short whatever the text, and cuts no character in half", () => {
    expect(oneLine("x".repeat(100_000)).length).toBe(160);
    expect(oneLine("x".repeat(159) + "🦎")).toBe("x".repeat(159));
    expect(oneLine(" a\n\n\tb ")).toBe("a b");
  });
});

describe("the tick", () => {
  it.each([
    [entry({ failed: 1, waiting: 1 }), "failed"],
    [entry({ waiting: 1 }), "waiting"],
    [entry(), "sent"],
    [entry({}, cursor(10, 9)), "delivered"],
    [entry({}, cursor(10, 10)), "read"],
    [entry({}, { last_message: { ...last, sender: ANN } }), undefined],
    [entry({}, { last_message: { ...last, kind: "event" } }), undefined],
  ] as const)("%#: %s", (of, tick) => {
    expect(tickOf(of, ME)).toBe(tick);
  });
});

it("a mute counts until it ends", () => {
  expect(mutedNow(undefined, 5)).toBe(false);
  expect(mutedNow({}, 5)).toBe(true);
  expect(mutedNow({ until: 6 }, 5)).toBe(true);
  expect(mutedNow({ until: 5 }, 5)).toBe(false);
});

import { beforeEach, describe, expect, it, vi } from "vitest";

const kept = new Map<string, string>();
vi.mock("../src/lib/storage.js", () => ({
  read: (name: string) => kept.get(name) ?? null,
  write: (name: string, value: string) => void kept.set(name, value),
}));
const { Proposal } = await import("../src/sw/proposal.svelte.js");

const text = { content: { kind: "text", text: "hello" } };

/** A proposal, and a way to tell it of the outbox. */
function world(push: { worth?: boolean; fails?: boolean } = {}) {
  let hear: ((event: unknown) => void) | undefined;
  const client = {
    on: (_name: string, listener: (event: unknown) => void) => {
      hear = listener;
      return () => (hear = undefined);
    },
  };
  const enable = vi.fn(async () => {
    if (push.fails) throw new Error("no push service");
    return "on" as const;
  });
  const proposal = new Proposal(client as never, {
    isWorthProposing: async () => push.worth ?? true,
    enable,
  });
  const stop = proposal.listen();
  const tell = async (event: unknown) => {
    hear?.(event);
    await Promise.resolve().then(() => undefined);
    await Promise.resolve();
  };
  return { proposal, tell, enable, stop };
}

beforeEach(() => kept.clear());

describe("the proposal of notifications", () => {
  it("comes after the first message that was sent, and not before", async () => {
    const { proposal, tell } = world();
    await tell({ entry: text });
    await tell({ entry: text, done: "discarded" });
    await tell({ entry: { content: { kind: "delete", target: 1 } }, done: { seq: 2 } });
    expect(proposal.isShown).toBe(false);
    await tell({ entry: text, done: { seq: 1 } });
    expect(proposal.isShown).toBe(true);
  });

  it("comes never where it makes no sense, nor after an answer", async () => {
    const senseless = world({ worth: false });
    await senseless.tell({ entry: text, done: { seq: 1 } });
    expect(senseless.proposal.isShown).toBe(false);
    const first = world();
    await first.tell({ entry: text, done: { seq: 1 } });
    first.proposal.dismiss();
    expect(first.proposal.isShown).toBe(false);
    const second = world();
    await second.tell({ entry: text, done: { seq: 2 } });
    expect(second.proposal.isShown).toBe(false);
  });

  it("stays when the browser could not subscribe", async () => {
    const { proposal, tell, enable } = world({ fails: true });
    await tell({ entry: text, done: { seq: 1 } });
    await proposal.accept();
    expect(enable).toHaveBeenCalledOnce();
    expect(proposal).toMatchObject({ isShown: true, problem: true });
  });

  it("goes when they are on", async () => {
    const { proposal, tell } = world();
    await tell({ entry: text, done: { seq: 1 } });
    await proposal.accept();
    expect(proposal.isShown).toBe(false);
  });
});

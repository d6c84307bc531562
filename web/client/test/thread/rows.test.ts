import type { ThreadItem } from "natterjack-sdk";
import { describe, expect, it } from "vitest";

import { Divider } from "../../src/thread/divider";
import { Rows } from "../../src/thread/group";

const NOON = new Date(2026, 4, 3, 12).getTime();
const MINUTE = 60_000;

function item(seq: number, sender: string, at: number, more: Partial<ThreadItem> = {}): ThreadItem {
  return {
    key: `k${seq}`,
    seq,
    sender,
    own: sender === "me",
    at,
    kind: "text",
    text: "hello",
    deleted: false,
    edited: false,
    ...more,
  };
}

const names: Record<string, string> = { ann: "Ann", bob: "Bob" };
const rows = () => new Rows({ name: (user) => names[user] ?? "", event: (event) => `${event.event?.type}` });

describe("rows", () => {
  it("are runs of one sender within five minutes", () => {
    const built = rows().build(
      [
        item(1, "ann", NOON),
        item(2, "ann", NOON + MINUTE),
        item(3, "bob", NOON + 2 * MINUTE),
        item(4, "bob", NOON + 9 * MINUTE),
        item(5, "bob", NOON + 9 * MINUTE, { kind: "event", event: { type: "renamed", title: "x" } }),
        item(6, "bob", NOON + 9 * MINUTE),
      ],
      undefined,
      true,
    );
    expect(built.map(({ head, tail }) => [head, tail])).toEqual([
      [true, false],
      [false, true],
      [true, true],
      [true, true],
      [true, true],
      [true, true],
    ]);
    expect(built.map((row) => row.line)).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
      "renamed",
      undefined,
    ]);
  });

  it("name the day where it begins, and break runs there and at the divider", () => {
    const late = new Date(2026, 4, 3, 23, 59).getTime();
    const built = rows().build(
      [item(1, "ann", late), item(2, "ann", late + 2 * MINUTE), item(3, "ann", late + 3 * MINUTE)],
      "k3",
      true,
    );
    expect(built.map((row) => row.day)).toEqual([
      new Date(2026, 4, 3).getTime(),
      new Date(2026, 4, 4).getTime(),
      undefined,
    ]);
    expect(built.map((row) => row.head)).toEqual([true, true, true]);
    expect(built.map((row) => row.divider)).toEqual([false, false, true]);
  });

  it("stay the same objects while nothing of them changes", () => {
    const maker = rows();
    const items = [
      item(1, "ann", NOON),
      item(2, "carl", NOON),
      item(3, "bob", NOON, { replyTo: { seq: 1 } }),
    ];
    const first = maker.build(items, undefined, true);
    const second = maker.build([...items, item(4, "ann", NOON)], undefined, true);
    expect(second.slice(0, 3).every((row, index) => row === first[index])).toBe(true);
    names.carl = "Carl";
    maker.forget();
    const third = maker.build(items, undefined, true);
    expect(third[0]).toBe(first[0]);
    expect(third[1]).not.toBe(first[1]);
    expect(third[1]?.name).toBe("Carl");
    const edited = [items[0], { ...items[1], text: "changed" }, items[2]] as ThreadItem[];
    expect(maker.build(edited, undefined, true).map((row, index) => row === third[index])).toEqual([
      true,
      false,
      true,
    ]);
  });

  it("quote what they answer", () => {
    const [row] = rows().build(
      [
        item(9, "bob", NOON, {
          replyTo: { seq: 1, item: { seq: 1, sender: "ann", text: "x".repeat(500), deleted: false } },
        }),
      ],
      undefined,
      true,
    );
    expect(row?.quote).toMatchObject({ seq: 1, name: "Ann", deleted: false });
    expect(row?.quote?.text.length).toBeLessThan(200);
  });
});

describe("the divider", () => {
  const from = (divider: Divider, ...items: ThreadItem[]) => ({
    seen: (read: number) => (divider.update(items, true, read), divider.key),
    unseen: (read: number) => (divider.update(items, false, read), divider.key),
  });

  it("stands before the first unread text of somebody else", () => {
    const divider = new Divider(1);
    const items = [item(1, "ann", 0), item(2, "me", 0), item(3, "ann", 0), item(4, "ann", 0)];
    expect(from(divider, ...items).unseen(1)).toBe("k3");
    expect(from(divider, ...items, item(5, "bob", 0)).seen(4)).toBe("k3");
  });

  it("does not appear under the eyes of the reader", () => {
    const divider = new Divider(1);
    expect(from(divider, item(1, "ann", 0), item(2, "ann", 0)).seen(1)).toBeUndefined();
    expect(from(divider, item(1, "ann", 0), item(2, "ann", 0), item(3, "ann", 0)).unseen(2)).toBe("k3");
  });

  it("moves on once all was read", () => {
    const divider = new Divider(1);
    const items = [item(2, "ann", 0), item(3, "ann", 0)];
    expect(from(divider, ...items).unseen(1)).toBe("k2");
    expect(from(divider, ...items, item(4, "ann", 0)).unseen(2)).toBe("k2");
    expect(from(divider, ...items, item(4, "ann", 0), item(5, "ann", 0)).unseen(4)).toBe("k5");
  });
});

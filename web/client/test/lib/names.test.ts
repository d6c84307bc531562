/** What is shown in a face, and whose conversation it is; which keys a shortcut is. */
import { describe, expect, it } from "vitest";

import { chatWith, faceOf, initialsOf, nameOf, peerOf, titleOf } from "../../src/lib/names.js";
import { nameOf as keysOf } from "../../src/lib/shortcuts.js";

const ME = "01j9z3m8x2c4v6b8n0q2w4e6r8";
const ANN = "01j9z3k4m5n6p7q8r9s0t1v2w3";

describe("names", () => {
  it.each([
    ["Ada Lovelace", "AL"],
    ["ada", "A"],
    ["Ana María de la Cruz", "AC"],
    ["  🦎 gecko ", "G"],
    ["🦎", "?"],
    ["", "?"],
    ["محمد علي", "مع"],
    ["李 小龍", "李小"],
  ])("%s has the initials %s", (name, initials) => {
    expect(initialsOf(name)).toBe(initials);
  });

  it("a chat is of the two, the smaller id first", () => {
    expect(chatWith(ANN, ME)).toBe(`dm.${ANN}.${ME}`);
    expect(chatWith(ME, ANN)).toBe(`dm.${ANN}.${ME}`);
    expect(peerOf(`dm.${ANN}.${ME}`, ME)).toBe(ANN);
    expect(peerOf(`dm.${ME}.${ME}`, ME)).toBe(ME);
    expect(peerOf(`group.${ANN}`, ME)).toBeUndefined();
    expect(faceOf(`group.${ANN}`, ME)).toBe(ANN);
  });

  it("titles: the peer's name, the group's title, one's own notes", () => {
    const peer = { id: ANN, handle: "ann", name: "Ann" };
    expect(titleOf({ conversation: `dm.${ANN}.${ME}`, peer }, ME)).toBe("Ann");
    expect(titleOf({ conversation: `group.${ANN}`, title: "Pond" }, ME)).toBe("Pond");
    expect(titleOf({ conversation: `dm.${ME}.${ME}` }, ME)).toBe("Notes to self");
    expect(nameOf({ id: ANN, handle: "ann", name: "" })).toBe("ann");
    expect(nameOf(undefined)).toBe("Someone");
  });
});

describe("shortcuts", () => {
  const key = (
    key: string,
    held: Partial<Record<"ctrlKey" | "metaKey" | "altKey" | "shiftKey", true>> = {},
  ) => ({
    key,
    ctrlKey: false,
    metaKey: false,
    altKey: false,
    shiftKey: false,
    ...held,
  });

  it("have the machine's own modifier", () => {
    expect(keysOf(key("k", { ctrlKey: true }), false)).toBe("mod+k");
    expect(keysOf(key("k", { metaKey: true }), true)).toBe("mod+k");
    expect(keysOf(key("k", { ctrlKey: true }), true)).toBe("meta+k");
  });

  it("name Shift with letters and not with signs", () => {
    expect(keysOf(key("K", { ctrlKey: true, shiftKey: true }), false)).toBe("mod+shift+k");
    expect(keysOf(key("?", { shiftKey: true }), false)).toBe("?");
    expect(keysOf(key("ArrowUp", { altKey: true }), false)).toBe("alt+arrowup");
  });
});

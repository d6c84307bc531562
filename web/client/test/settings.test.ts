import { describe, expect, it } from "vitest";

import { bytesInWords } from "../src/settings/bytes.js";
import { unsent } from "../src/settings/unsent.js";

describe("amounts of storage", () => {
  it("are told in words", () => {
    expect(bytesInWords("en", 0)).toBe("0 byte");
    expect(bytesInWords("en", 999)).toBe("999 byte");
    expect(bytesInWords("en", 1_000)).toBe("1 kB");
    expect(bytesInWords("en", 3_210_000)).toBe("3.2 MB");
    expect(bytesInWords("en", 5e12)).toBe("5,000 GB");
  });
});

describe("what is unsent", () => {
  it("is what waits and what was refused", () => {
    const snapshot = [
      { waiting: 2, failed: 0 },
      { waiting: 0, failed: 1 },
    ];
    expect(unsent({ conversations: { snapshot: snapshot as never } })).toBe(3);
    expect(unsent({ conversations: { snapshot: [] } })).toBe(0);
  });
});

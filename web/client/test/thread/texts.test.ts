import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { blocks, BLOCK_UNITS, preview, PREVIEW_LINES, PREVIEW_UNITS } from "../../src/thread/collapse";
import { composing } from "../../src/lib/keys";
import { direction, left, scalars, sends } from "../../src/thread/composing";
import { emojiOnly } from "../../src/thread/emoji";
import { pieces, severed } from "../../src/thread/links";

const joined = (text: string) =>
  pieces(text)
    .map((piece) => piece.text)
    .join("");
const found = (text: string, kind: "link" | "mention") =>
  pieces(text).flatMap((piece) => (piece.kind === kind ? [piece.text] : []));

describe("links and mentions", () => {
  it("what is cut in two is no link, and names nobody", () => {
    const text = "https://a.example see https://b.example/?u=https://c.example @ada";
    const part = (from: number, to: number) =>
      pieces(text.slice(from, to), severed(text, from, to)).flatMap(({ kind, text }) =>
        kind === "plain" ? [] : [text],
      );
    const all = ["https://a.example", "https://b.example/?u=https://c.example", "@ada"];
    expect(part(0, text.length)).toEqual(all);
    expect(part(0, text.indexOf("example/") + 3)).toEqual(all.slice(0, 1));
    expect(part(0, text.length - 1)).toEqual(all.slice(0, 2));
    expect(part(text.indexOf("https://c"), text.length)).toEqual(all.slice(2));
    // Between words nothing is cut.
    expect(part(0, text.indexOf(" see"))).toEqual(all.slice(0, 1));
    expect(part(text.indexOf("https://b"), text.length)).toEqual(all.slice(1));
  });

  it.each([
    ["see https://example.com.", ["https://example.com"]],
    ["(https://example.com/a_(b))", ["https://example.com/a_(b)"]],
    ["https://example.com/?q=1&r=2#x, then", ["https://example.com/?q=1&r=2#x"]],
    ["http://a.example and https://b.example!", ["http://a.example", "https://b.example"]],
    ["HTTPS://EXAMPLE.COM", ["HTTPS://EXAMPLE.COM"]],
    ["انظر https://example.com/مرحبا، شكرا", ["https://example.com/مرحبا"]],
    ["https://user@example.com/@ann", ["https://user@example.com/@ann"]],
    ["javascript://alert(1) data:text/html,x ftp://a.example https:// http://", []],
  ])("%s", (text, expected) => {
    expect(found(text, "link")).toEqual(expected);
    expect(joined(text)).toBe(text);
  });

  it.each([
    ["@ada", ["@ada"]],
    ["hello @Ada!", ["@Ada"]],
    ["see you @ada.", ["@ada"]],
    ["@ada.lovelace", ["@ada.lovelace"]],
    ["@adaé", []],
    ["mail x@ada", []],
    ["é@ada 𝒂@ada", []],
    ["@@ada", ["@ada"]],
    ["@", []],
    ["🦎@ada🦎", ["@ada"]],
  ])("%s", (text, expected) => {
    expect(found(text, "mention")).toEqual(expected);
    expect(joined(text)).toBe(text);
  });

  it("keeps each character of any text, and links nothing but http and https", () => {
    const part = fc.oneof(
      fc.string(),
      fc.constantFrom("https://", "@ann", "://", "@", "(", ")", ".", "<b>", "javascript:"),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
        const text = parts.join("");
        expect(joined(text)).toBe(text);
        for (const piece of pieces(text))
          if (piece.kind === "link") expect(piece.href).toMatch(/^https?:\/\//);
      }),
    );
  });

  it("takes no time that grows faster than the text", () => {
    const started = performance.now();
    pieces("https://" + "(".repeat(50_000) + ")".repeat(3));
    pieces("@a".repeat(50_000));
    expect(performance.now() - started).toBeLessThan(1_000);
  });
});

describe("long texts", () => {
  const long = fc
    .array(
      fc.oneof(
        fc.string({ unit: "grapheme" }),
        fc.constantFrom("\n", " ", "👩‍👩‍👧‍👦", "🇳🇱", "é".normalize("NFD"), "नि"),
      ),
      {
        minLength: 1,
        maxLength: 40,
      },
    )
    .map((parts) => parts.join("").repeat(300));

  it("leaves short ones alone", () => {
    expect(preview("a short text")).toBeUndefined();
    expect(preview("x".repeat(PREVIEW_UNITS + 100))).toBeUndefined();
    expect(preview("line\n".repeat(PREVIEW_LINES - 1))).toBeUndefined();
  });

  it("cuts at twelve lines and at 1,200 units", () => {
    expect(preview("line\n".repeat(40))?.split("\n")).toHaveLength(PREVIEW_LINES);
    expect(preview("word ".repeat(20_000))?.length).toBeLessThanOrEqual(PREVIEW_UNITS);
  });

  it("never cuts within a character", () => {
    const segmenter = new Intl.Segmenter(undefined, { granularity: "grapheme" });
    fc.assert(
      fc.property(long, (text) => {
        const cut = preview(text);
        if (cut === undefined) return;
        expect(text.startsWith(cut)).toBe(true);
        expect(cut.length).toBeGreaterThan(0);
        const place = segmenter.segment(text.slice(0, cut.length + 100)).containing(cut.length);
        expect(place?.index).toBe(cut.length);
      }),
      { numRuns: 60 },
    );
  });

  it("makes blocks of bounded size that are the text when joined", () => {
    fc.assert(
      fc.property(long, (text) => {
        const parts = blocks(text);
        expect(parts.join("")).toBe(text);
        for (const part of parts) {
          expect(part.length).toBeLessThanOrEqual(BLOCK_UNITS + 200);
          expect(part).not.toMatch(/^[\udc00-\udfff]|[\ud800-\udbff]$/);
        }
      }),
      { numRuns: 60 },
    );
    expect(blocks("x".repeat(100_000)).length).toBeGreaterThan(10);
    // One letter with thousands of accents is no reason to hang or to show nothing.
    expect(blocks("a" + "\u0301".repeat(99_999)).join("").length).toBe(100_000);
    expect(preview("a" + "\u0301".repeat(99_999))?.length).toBeGreaterThan(1_000);
  });
});

describe("emoji", () => {
  it.each(["🦎", "👍🏽", "👩‍👩‍👧‍👦 🇳🇱", "❤️", "1️⃣", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"])("%s is large", (text) => {
    // A keycap begins with a plain digit: not worth a test of each text that does.
    expect(emojiOnly(text)).toBe(text !== "1️⃣");
  });
  it.each(["", "1", "12", "#", "a🦎", "🦎🦎🦎🦎", "©a", "  "])("%j is not", (text) => {
    expect(emojiOnly(text)).toBe(false);
  });
});

describe("the composer's keys", () => {
  const enter = {
    key: "Enter",
    keyCode: 13,
    isComposing: false,
    shiftKey: false,
    ctrlKey: false,
    metaKey: false,
    altKey: false,
  };
  it("sends on Enter, not on Shift+Enter, and not on Enter of a touch keyboard", () => {
    expect(sends(enter, false)).toBe(true);
    expect(sends({ ...enter, shiftKey: true }, false)).toBe(false);
    expect(sends(enter, true)).toBe(false);
    expect(sends({ ...enter, ctrlKey: true }, true)).toBe(true);
  });
  it("leaves Enter to the input method", () => {
    expect(sends({ ...enter, isComposing: true }, false)).toBe(false);
    // Safari: the composition has ended already, and the code alone tells.
    expect(sends({ ...enter, keyCode: 229 }, false)).toBe(false);
    expect(composing({ isComposing: false, keyCode: 229 })).toBe(true);
  });
  it.each([
    ["hello مرحبا", "ltr"],
    ["12: مرحبا hello", "rtl"],
    ["🦎 שלום", "rtl"],
    ["", "ltr"],
  ])("%j goes %s", (text, expected) => expect(direction(text)).toBe(expected));
  it("counts as the server does", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        expect(scalars(text)).toBe([...text].length);
      }),
      { numRuns: 40 },
    );
    expect(left("x".repeat(80), 100)).toBeUndefined();
    expect(left("🦎".repeat(95), 100)).toBe(5);
    expect(left("x".repeat(103), 100)).toBe(-3);
  });
});

/** Finding titles by a few letters. */
import { describe, expect, it } from "vitest";

import { bestScore, fold, score } from "../../src/lib/fuzzy.js";

/** The texts that answer the query, the best first. */
function found(query: string, texts: string[]): string[] {
  return texts
    .map((text) => ({ text, score: score(query, text) }))
    .filter((one) => one.score !== undefined)
    .sort((a, b) => (b.score ?? 0) - (a.score ?? 0))
    .map((one) => one.text);
}

describe("score", () => {
  it("ranks: the whole, the beginning, a word's beginning, within a word, scattered", () => {
    const texts = ["p-o-n-d", "ripond", "The pond", "Pond watchers", "Pond"];
    expect(found("pond", texts)).toEqual(["Pond", "Pond watchers", "The pond", "ripond", "p-o-n-d"]);
  });

  it("takes neither case nor accents for a difference", () => {
    expect(fold("ÉLISE Åström")).toBe("elise astrom");
    expect(found("elise", ["Élise"])).toEqual(["Élise"]);
    expect(found("محمد", ["مُحَمَّد"])).toEqual(["مُحَمَّد"]);
  });

  it("finds letters in their order only", () => {
    expect(score("pw", "Pond watchers")).toBeGreaterThan(0);
    expect(score("wp", "Pond watchers")).toBeUndefined();
    expect(score("xyz", "Pond watchers")).toBeUndefined();
  });

  it("prefers the shorter of two that begin so", () => {
    expect(found("an", ["Annabel Lee", "Ann"])).toEqual(["Ann", "Annabel Lee"]);
  });

  it("an empty query fits everything equally", () => {
    expect(score("  ", "anything")).toBe(0);
  });

  it("takes the best of title and handle", () => {
    expect(bestScore("ada", ["Countess", "ada"])).toBe(100);
    expect(bestScore("ada", ["Countess", undefined])).toBeUndefined();
  });
});

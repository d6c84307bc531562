/** Each catalogue says everything in each language, and Arabic in Arabic. */
import { describe, expect, it } from "vitest";

const files = import.meta.glob<{ default: Record<string, unknown> }>("../../src/**/*.{en,ar}.ts", {
  eager: true,
});
const catalogues = Object.keys(files).filter((path) => path.endsWith(".en.ts"));

/** What functions of texts are tried with: names and counts of every plural form. */
const NAMES = ["Ann", "Bob", "Cleo", "Dan", "Eve"];
const COUNTS = [0, 1, 2, 5, 11, 100];

/** Names of products, and texts that are nothing but what they are made of. */
const ALIKE = /^\.(platforms\.|announce\()/;

/** All texts of a catalogue by their path. */
function texts(value: unknown, path = ""): [string, string][] {
  if (typeof value === "string") return [[path, value]];
  if (typeof value === "function") {
    const make = value as (...values: unknown[]) => unknown;
    return COUNTS.flatMap((count): [string, string][] => {
      // Whether it is a count or a name that it takes, it does not say: it has to be a text with either.
      const made = [make(count, count, count, count), make(...NAMES)];
      return made.map((text, at) => [`${path}(${at === 0 ? count : "name"})`, String(text)]);
    });
  }
  return Object.entries(value as object).flatMap(([key, inner]) => texts(inner, `${path}.${key}`));
}

describe.each(catalogues)("%s", (path) => {
  const en = files[path]?.default ?? {};
  const ar = files[path.replace(".en.ts", ".ar.ts")]?.default ?? {};

  it("has the same texts in Arabic", () => {
    const keys = (of: object) => texts(of).map(([key]) => key);
    expect(keys(ar)).toEqual(keys(en));
    expect(keys(en).length).toBeGreaterThan(0);
  });

  it("leaves no text empty, unmade or untranslated", () => {
    for (const [key, text] of texts(en)) expect(text, key).toMatch(/\S/u);
    for (const [key, text] of texts(ar)) {
      if (!ALIKE.test(key)) expect(text, key).toMatch(/[\u0600-\u06ff]/u);
      expect(text, key).not.toMatch(/undefined|NaN|#/u);
    }
  });
});

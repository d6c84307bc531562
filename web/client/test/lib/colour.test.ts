/** The tokens' colours hold WCAG AA where they are used, in both schemes. */
import { readFileSync } from "node:fs";

import { describe, expect, it } from "vitest";

import { COLOURS, colourOf } from "../../src/lib/colour.js";

const css = readFileSync(new URL("../../src/styles/tokens.css", import.meta.url), "utf8");

/** A token in the light and in the dark scheme. */
function token(name: string): [string, string] {
  const pair = new RegExp(`--${name}: light-dark\\((#[0-9a-f]{6}), (#[0-9a-f]{6})\\)`).exec(css);
  const one = new RegExp(`--${name}: (#[0-9a-f]{6})`).exec(css);
  const [light, dark] = [pair?.[1] ?? one?.[1], pair?.[2] ?? one?.[1]];
  if (light === undefined || dark === undefined) throw new Error(`no token --${name}`);
  return [light, dark];
}

function luminance(colour: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => {
    const value = parseInt(colour.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a: string, b: string): number {
  const [light = 0, dark = 0] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (light + 0.05) / (dark + 0.05);
}

const SURFACES = [
  "surface",
  "surface-raised",
  "surface-hover",
  "surface-selected",
  "bubble-own",
  "bubble-other",
];
const numbers = Array.from({ length: COLOURS }, (_, number) => number);

/** Text, and what it stands on. */
const PAIRS: [string, string][] = [
  ...["text", "text-quiet", "accent"].flatMap((text) => SURFACES.map((on): [string, string] => [text, on])),
  ...numbers.map((number): [string, string] => ["on-face", `face-${number}`]),
  ...numbers.flatMap((number): [string, string][] => [
    [`name-${number}`, "surface"],
    [`name-${number}`, "bubble-other"],
  ]),
  ["on-accent", "accent"],
  ["on-accent", "accent-hover"],
  ["danger", "danger-soft"],
  ["danger", "surface"],
  ["danger", "surface-raised"],
  ["warning", "warning-soft"],
];

describe("contrast", () => {
  it.each(PAIRS)("--%s on --%s is 4.5 or more", (text, on) => {
    for (const scheme of [0, 1] as const) {
      expect(contrast(token(text)[scheme], token(on)[scheme])).toBeGreaterThanOrEqual(4.5);
    }
  });

  it.each(["online", "away", "focus", "line-strong"])("--%s is seen: 3 or more", (sign) => {
    for (const on of ["surface", "surface-raised"]) {
      for (const scheme of [0, 1] as const) {
        expect(contrast(token(sign)[scheme], token(on)[scheme])).toBeGreaterThanOrEqual(3);
      }
    }
  });
});

it("ids get all colours, each the same one each time", () => {
  const ids = Array.from(
    { length: 400 },
    (_, at) => `01j9z3k4m5n6p7q8r9s0t1v${at.toString(36).padStart(3, "0")}`,
  );
  expect(new Set(ids.map(colourOf)).size).toBe(COLOURS);
  expect(ids.map(colourOf)).toEqual(ids.map(colourOf));
});

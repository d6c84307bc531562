/** Who is meant by what was typed, and whose answer counts. */
import type { Profile, UserId } from "natterjack-sdk";
import { expect, test } from "vitest";

import { answerTo, firm, foundScore, prefixOf, rank } from "../../src/lib/people";

const person = (name: string, handle: string): Profile => ({ id: handle as UserId, name, handle });
const bob = person("Bob Ray", "bob");
const scattered = person("Barbara Tobin", "btobin");

test("an answer to something else names nobody", () => {
  const answer = { prefix: "bo", found: [bob] };
  expect(answerTo("bo", answer)?.found).toEqual([bob]);
  expect(answerTo("bob", answer)).toBeUndefined();
  expect(answerTo("b", { prefix: "b", found: [bob] })).toBeUndefined();
  expect(answerTo("bo", undefined)).toBeUndefined();
});

test("the exact handle from the server stands before a known person with its letters somewhere", () => {
  expect(rank("bob", [scattered], [bob])).toEqual([bob, scattered]);
  expect(rank("@bob", [scattered], [bob])).toEqual([bob, scattered]);
});

test("a known person stands once, and first among equals", () => {
  const other = person("Bob Ray", "bob2");
  expect(rank("bob ray", [bob], [other, bob])).toEqual([bob, other]);
  expect(rank("", [scattered, bob], [])).toEqual([scattered, bob]);
  expect(rank("zz", [scattered], [])).toEqual([]);
});

test("whom the server finds by rules of its own fits better than letters with gaps", () => {
  const stranger = person("Ωμέγα", "omega");
  expect(rank("bbt", [scattered], [stranger])).toEqual([stranger, scattered]);
  expect(firm(foundScore("bbt", stranger))).toBe(false);
  expect(firm(foundScore("ome", stranger))).toBe(true);
});

test("a handle may be written with its sign", () => {
  expect(prefixOf(" @bob ")).toBe("bob");
});

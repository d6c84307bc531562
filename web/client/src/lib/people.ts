/**
 * Who is meant by what somebody types: which of the server's answers counts, and who stands first. Pure.
 *
 * @module
 */
import type { Profile } from "natterjack-sdk";

import { bestScore } from "./fuzzy.js";

/** The server looks for no less. */
export const SHORTEST = 2;

/** A score from here on is the whole, its beginning or the beginning of a word: likely what is meant. */
const FIRM = 60;

/** The server finds by beginnings: whom it names fits better than letters with gaps between them. */
const FOUND_AT_LEAST = 31;

/** What the server said, and to what. */
export interface Answer {
  readonly prefix: string;
  readonly found: readonly Profile[];
  /** Why there is none. */
  readonly error?: unknown;
}

/** What is looked for: a handle may be written with its sign. */
export function prefixOf(query: string): string {
  return query.trim().replace(/^@/, "");
}

/** Whether the server is asked for it at all. */
export function asked(prefix: string): boolean {
  return [...prefix].length >= SHORTEST;
}

/** The answer if it is one to this very prefix; one to another names people who are not meant. */
export function answerTo(prefix: string, answer: Answer | undefined): Answer | undefined {
  return asked(prefix) && answer?.prefix === prefix ? answer : undefined;
}

/** Whether something that fits so well can be taken before the server has answered. */
export function firm(score: number | undefined): boolean {
  return score !== undefined && score >= FIRM;
}

/** How well a person whom the server found fits. */
export function foundScore(query: string, person: Profile): number {
  return Math.max(FOUND_AT_LEAST, bestScore(prefixOf(query), [person.name, person.handle]) ?? 0);
}

/** The known people who fit and those whom the server found, without repetitions, the best first. */
export function rank(query: string, known: readonly Profile[], found: readonly Profile[]): Profile[] {
  const ranked = new Map<string, { person: Profile; score: number }>();
  for (const person of known) {
    const score = bestScore(prefixOf(query), [person.name, person.handle]);
    if (score !== undefined) ranked.set(person.id, { person, score });
  }
  for (const person of found) {
    if (!ranked.has(person.id)) ranked.set(person.id, { person, score: foundScore(query, person) });
  }
  // Of those who fit equally well the known come first: the sort is stable.
  return [...ranked.values()].sort((a, b) => b.score - a.score).map((one) => one.person);
}

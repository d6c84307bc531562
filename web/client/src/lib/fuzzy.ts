/**
 * Finding a title by a few of its letters. Pure.
 *
 * @module
 */

/** Lower case without accents, so that "jose" finds "José". */
export function fold(text: string): string {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLocaleLowerCase();
}

/**
 * How well a text answers a query: undefined for not at all, else higher for better. The whole text is best, then
 * its beginning, the beginning of a word, a part of a word, and at last the letters in their order with gaps.
 */
export function score(query: string, text: string): number | undefined {
  const wanted = fold(query.trim());
  const given = fold(text);
  if (wanted === "") return 0;
  if (given === wanted) return 100;
  // Of two that begin so, the shorter is more likely meant.
  const closeness = Math.min(9, (9 * wanted.length) / given.length);
  if (given.startsWith(wanted)) return 80 + closeness;
  const at = given.indexOf(wanted);
  if (at > 0) return (/[\p{L}\p{N}]/u.test(given[at - 1] ?? "") ? 40 : 60) + closeness;
  return scattered(wanted, given);
}

/** The letters in order, each at the first place that is left: better with fewer gaps. */
function scattered(wanted: string, given: string): number | undefined {
  let from = 0;
  let gaps = 0;
  for (const letter of wanted) {
    if (letter === " ") continue;
    const at = given.indexOf(letter, from);
    if (at < 0) return undefined;
    if (at > from) gaps++;
    from = at + letter.length;
  }
  return Math.max(1, 30 - 5 * gaps);
}

/** The best of `texts`' scores for an item: by title or by handle. */
export function bestScore(query: string, texts: readonly (string | undefined)[]): number | undefined {
  let best: number | undefined;
  for (const text of texts) {
    const one = text === undefined ? undefined : score(query, text);
    if (one !== undefined && (best === undefined || one > best)) best = one;
  }
  return best;
}

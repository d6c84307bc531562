/**
 * A colour for each person and group, from their id: one of the twelve `--face-n` of `styles/tokens.css`, which hold
 * AA contrast with the text on them and, as `--name-n`, on bubbles.
 *
 * @module
 */

/** How many there are. */
export const COLOURS = 12;

/** The number of an id's colour, 0 to 11: the same on every device. FNV-1a over the id. */
export function colourOf(id: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < id.length; at++) {
    hash = Math.imul(hash ^ id.charCodeAt(at), 0x01000193) >>> 0;
  }
  return ((hash ^ (hash >>> 15)) >>> 0) % COLOURS;
}

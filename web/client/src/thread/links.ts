/**
 * What of a text is a link or names somebody. The pieces put together are the text again, and each is shown as a
 * text node: nothing is ever interpreted as HTML.
 *
 * @module
 */

/** A piece of a text. */
export type Piece =
  | { readonly kind: "plain"; readonly text: string }
  | { readonly kind: "link"; readonly text: string; readonly href: string }
  | { readonly kind: "mention"; readonly text: string; readonly handle: string };

/** A handle's longest (docs/protocol.md). */
const HANDLE_MAX = 32;
/** An address or a `@handle`; what surrounds it is looked at afterwards, so that no expression backtracks. */
const CANDIDATE = /https?:\/\/[^\s<>"]+|@[a-z0-9_.-]+/giu;
const WORD = /[\p{L}\p{N}]/u;
const CLOSING: Record<string, string> = { ")": "(", "]": "[", "}": "{" };

/** Where a text goes on beyond one of its ends without a space. */
export interface Severed {
  readonly start?: boolean;
  readonly end?: boolean;
}

/** Which ends of the part `from`–`to` of a text cut something in two. */
export function severed(text: string, from: number, to: number): Severed {
  return { start: cutAt(text, from), end: cutAt(text, to) };
}

function cutAt(text: string, at: number): boolean {
  return at > 0 && at < text.length && !/\s/u.test(text[at - 1] ?? "") && !/\s/u.test(text[at] ?? "");
}

/** The pieces of a text, in order. What touches a severed end is plain: it would lead elsewhere than it says. */
export function pieces(text: string, cut: Severed = {}): readonly Piece[] {
  // Most texts have neither, and this is much the cheapest way to know.
  if (!text.includes("@") && !text.includes("://")) return [{ kind: "plain", text }];
  const found: Piece[] = [];
  let done = 0;
  const from = cut.start ? text.search(/\s|$/u) : 0;
  for (const match of text.matchAll(CANDIDATE)) {
    if (match.index < from || (cut.end && match.index + match[0].length === text.length)) continue;
    const piece = match[0].startsWith("@") ? mention(text, match.index, match[0]) : link(match[0]);
    if (!piece) continue;
    if (match.index > done) found.push({ kind: "plain", text: text.slice(done, match.index) });
    found.push(piece);
    done = match.index + piece.text.length;
  }
  if (done < text.length || found.length === 0) found.push({ kind: "plain", text: text.slice(done) });
  return found;
}

function link(candidate: string): Piece | undefined {
  const text = withoutTail(candidate);
  const url = URL.parse?.(text) ?? parse(text);
  if (!url || (url.protocol !== "https:" && url.protocol !== "http:") || !url.hostname) return undefined;
  return { kind: "link", text, href: url.href };
}

/** `URL.parse` for browsers that have none. */
function parse(text: string): URL | null {
  try {
    return new URL(text);
  } catch {
    return null;
  }
}

/** The sentence's punctuation is not the address's; a bracket is, if it was opened there. */
function withoutTail(candidate: string): string {
  let end = candidate.length;
  for (; end > 0; end--) {
    const last = candidate[end - 1] ?? "";
    if (".,;:!?'*_~…。、，！？،؛؟»”’".includes(last)) continue;
    const opening = CLOSING[last];
    if (opening && count(candidate, opening, end) < count(candidate, last, end)) continue;
    break;
  }
  return candidate.slice(0, end);
}

function count(text: string, character: string, end: number): number {
  let found = 0;
  for (let at = 0; at < end; at++) if (text[at] === character) found++;
  return found;
}

/** As the server decides whom a text mentions: no word before it, none that goes on after it. */
function mention(text: string, at: number, candidate: string): Piece | undefined {
  const end = at + candidate.length;
  if (WORD.test(before(text, at)) || WORD.test(after(text, end))) return undefined;
  const named = candidate.replace(/[.-]+$/u, "");
  const handle = named.slice(1).toLowerCase();
  if (handle.length === 0 || handle.length > HANDLE_MAX) return undefined;
  return { kind: "mention", text: named, handle };
}

/** The character that ends at a place. */
function before(text: string, at: number): string {
  if (at === 0) return "";
  const unit = text.charCodeAt(at - 1);
  return text.slice(unit >= 0xdc00 && unit < 0xe000 && at > 1 ? at - 2 : at - 1, at);
}

/** The character that begins at a place. */
function after(text: string, at: number): string {
  const point = text.codePointAt(at);
  return point === undefined ? "" : String.fromCodePoint(point);
}

/**
 * The colour of the window's frame. The page names one for each scheme of the system; a theme that was chosen
 * against the system's needs its own.
 */
import type { Theme } from "../lib/theme.svelte.js";

/** What index.html says, by scheme. */
let own: Map<HTMLMetaElement, string> | undefined;

/** Gives the frame the colour of the page as it is now, or for "system" what index.html says. */
export function tint(theme: Theme): void {
  own ??= new Map(
    [...document.querySelectorAll<HTMLMetaElement>('meta[name="theme-color"]')].map((meta) => [
      meta,
      meta.content,
    ]),
  );
  const chosen = theme === "system" ? undefined : getComputedStyle(document.body).backgroundColor;
  for (const [meta, content] of own) meta.content = chosen ?? content;
}

/**
 * Light, dark, or as the system has it. `public/boot.js` applies the kept choice before the first paint.
 *
 * @module
 */
import { read, write } from "./storage.js";

/** What can be chosen. */
export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

const kept = read("theme");
let theme = $state<Theme>(THEMES.find((known) => known === kept) ?? "system");

/** The chosen theme. Reactive. */
export function currentTheme(): Theme {
  return theme;
}

/** Chooses and keeps it. */
export function setTheme(choice: Theme): void {
  theme = choice;
  write("theme", choice === "system" ? null : choice);
  if (choice === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = choice;
}

// A choice that is made in one tab holds in the others.
window.addEventListener("storage", (event) => {
  if (event.key === "theme") setTheme(THEMES.find((known) => known === event.newValue) ?? "system");
});

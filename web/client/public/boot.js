// Runs before the first paint, so that a chosen theme or direction never flashes. Not inline: the content security
// policy allows files only. The names are those of src/lib/theme.svelte.ts and src/lib/i18n/i18n.svelte.ts.
try {
  const root = document.documentElement;
  const theme = localStorage.getItem("theme");
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  const language = localStorage.getItem("language") ?? navigator.language;
  if (language.startsWith("ar")) {
    root.lang = "ar";
    root.dir = "rtl";
  }
} catch {
  // Without storage there is nothing kept.
}

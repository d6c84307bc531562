/**
 * Languages: which one is chosen, and catalogues of texts in each. English is part of the page; others are loaded.
 *
 * Each area has a catalogue of its own (`texts.ts` beside its components), so that a lazy part of the page brings
 * its texts with it. A catalogue is an object of strings and of functions that make one.
 *
 * @module
 */
import { read, write } from "../storage.js";

/** The languages, each by its own name. */
export const LANGUAGES = { en: "English", ar: "العربية" } as const;
export type Language = keyof typeof LANGUAGES;

/** Written from right to left. */
const RTL: ReadonlySet<Language> = new Set(["ar"]);

type Lazy<T> = Record<Exclude<Language, "en">, () => Promise<{ default: T }>>;

let language = $state<Language>("en");
/** All catalogues that exist so far: choosing a language loads each. */
const loaders: ((language: Language) => Promise<void>)[] = [];

/** The chosen language. Reactive. */
export function currentLanguage(): Language {
  return language;
}

/** The locale for `Intl`: the browser's own variety of the language where it names one, as `en-GB`. */
export function locale(): string {
  return navigator.languages.find((name) => name.split("-")[0] === language) ?? language;
}

/**
 * A catalogue: call what it returns, in a template or effect, for the texts in the chosen language. English stands
 * in for what is not loaded yet.
 */
export function catalogue<T extends object>(en: T, lazy: Lazy<T>): () => T {
  let loaded = $state.raw<Partial<Record<Language, T>>>({ en });
  const load = async (wanted: Language): Promise<void> => {
    if (wanted === "en" || loaded[wanted]) return;
    const { default: texts } = await lazy[wanted]();
    loaded = { ...loaded, [wanted]: texts };
  };
  loaders.push(load);
  if (language !== "en") void load(language);
  return () => loaded[language] ?? en;
}

/** Resolves when each catalogue that exists is there in the chosen language: before a lazy part is shown. */
export async function languageReady(): Promise<void> {
  await Promise.all(loaders.map((load) => load(language)));
}

/** Chooses and keeps a language, and turns the page the right way. */
export async function setLanguage(choice: Language, keep = true): Promise<void> {
  await Promise.all(loaders.map((load) => load(choice)));
  language = choice;
  if (keep) write("language", choice);
  document.documentElement.lang = choice;
  document.documentElement.dir = RTL.has(choice) ? "rtl" : "ltr";
}

/** The kept language, or the first of the browser's that there is. Before the page is mounted. */
export async function startLanguage(): Promise<void> {
  const wanted = [read("language") ?? "", ...navigator.languages];
  const codes = wanted.map((name) => name.split("-")[0] ?? "");
  const choice = codes.find((code): code is Language => code in LANGUAGES) ?? "en";
  // Texts that cannot be had (offline, first time) are no reason to show nothing.
  await setLanguage(choice, false).catch(() => setLanguage("en", false));
}

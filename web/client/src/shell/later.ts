/**
 * Texts of what is shown now and then: searches, the first steps, the quick switcher, the end.
 *
 * @module
 */
import { catalogue } from "../lib/i18n/i18n.svelte.js";
import en from "./later.en.js";

export const laterTexts = catalogue(en, { ar: () => import("./later.ar.js") });

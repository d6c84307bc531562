/**
 * The words of the settings.
 */
import { catalogue } from "../lib/i18n/i18n.svelte.js";
import en from "./texts.en.js";

/** The texts in the chosen language. */
export const settingsTexts = catalogue(en, { ar: () => import("./texts.ar.js") });

/**
 * What the page says about its own updates and pushes.
 */
import { catalogue } from "../lib/i18n/i18n.svelte.js";
import en from "./texts.en.js";

/** The texts in the chosen language. */
export const backgroundTexts = catalogue(en, { ar: () => import("./texts.ar.js") });

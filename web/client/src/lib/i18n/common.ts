/**
 * The words that every part of the page uses.
 *
 * @module
 */
import en from "./common.en.js";
import { catalogue } from "./i18n.svelte.js";

/** The common catalogue in the chosen language. */
export const common = catalogue(en, { ar: () => import("./common.ar.js") });

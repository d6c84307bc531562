/**
 * The words of the thread.
 *
 * @module
 */
import { catalogue } from "../lib/i18n/i18n.svelte.js";
import en from "./texts.en.js";

/** The thread's catalogue in the chosen language. */
export const texts = catalogue(en, { ar: () => import("./texts.ar.js") });

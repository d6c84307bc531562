/**
 * Texts of new chats, groups and the details.
 *
 * @module
 */
import { catalogue } from "../lib/i18n/i18n.svelte.js";
import en from "./texts.en.js";

export const texts = catalogue(en, { ar: () => import("./texts.ar.js") });

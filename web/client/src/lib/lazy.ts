/**
 * Parts of the page that are loaded when they are first shown, with their texts.
 *
 * @module
 */
import { languageReady } from "./i18n/i18n.svelte.js";

/** A loader that loads once, and again after it failed. */
export function lazy<M>(load: () => Promise<M>): () => Promise<M> {
  let loading: Promise<M> | undefined;
  return () => {
    loading ??= load().then(async (module) => {
      await languageReady().catch(() => {});
      return module;
    });
    loading.catch(() => (loading = undefined));
    return loading;
  };
}

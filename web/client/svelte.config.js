import { vitePreprocess } from "@sveltejs/vite-plugin-svelte";

export default {
  preprocess: vitePreprocess(),
  compilerOptions: {
    runes: true,
    discloseVersion: false,
    // Each element of a component with styles carries it: the shorter, the less script there is to load.
    cssHash: ({ hash, css }) => `s${hash(css).slice(0, 5)}`,
  },
};

import { readFileSync } from "node:fs";

import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

import { budget } from "./build/budget.ts";
import { precompress } from "./build/precompress.ts";
import { serviceWorker } from "./build/worker.ts";

const { version } = JSON.parse(readFileSync(new URL("package.json", import.meta.url), "utf8")) as {
  version: string;
};

export default defineConfig({
  define: { __VERSION__: JSON.stringify(version) },
  plugins: [svelte(), budget(), serviceWorker(), precompress()],
  // The SDK from its source: one build, one source map.
  resolve: { conditions: ["source", "module", "browser", "development|production"] },
  // `npm run dev` beside a server that runs.
  server: {
    proxy: { "/v1": { target: process.env.NATTERJACK_SERVER ?? "http://127.0.0.1:8080", ws: true } },
  },
  build: {
    target: "es2022",
    // No inline data: the content security policy allows files of our own and nothing else.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: true,
    // What the start needs is one file: it packs better than many, and takes one request.
    rolldownOptions: { output: { codeSplitting: { groups: [{ name: "start", tags: ["$initial"] }] } } },
  },
});

/**
 * Builds the service worker: `src/sw/worker.ts` becomes `/sw.js`, one classic script without imports and without a
 * hash in its name, with the list of files of this very build in it.
 *
 * Each file stands there with its digest. A worker that is installed while a deployment is under way can so never
 * mix the files of two builds: what does not fit is refused, the old worker stays, and the next check tries again.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { build, type Plugin, type ResolvedConfig, type Rolldown } from "vite";

import type { Precache } from "../src/sw/shell.ts";

/** Not kept by the worker: maps, and pictures that only an installation asks for. */
const LEFT_OUT = /\.map$|^icons\/.*-(?:maskable|512)\.png$|^icons\/apple-touch-icon\.png$/;

/** Adds `sw.js` to the build. */
export function serviceWorker(): Plugin {
  let config: ResolvedConfig;
  return {
    name: "natterjack:service-worker",
    apply: "build",
    enforce: "post",
    configResolved(resolved) {
      config = resolved;
    },
    generateBundle: {
      order: "post",
      async handler(_options, bundle) {
        const files = new Map<string, string | Uint8Array>();
        for (const name of readdirSync(config.publicDir, { recursive: true, withFileTypes: true })) {
          if (!name.isFile()) continue;
          const path = join(name.parentPath, name.name);
          files.set(path.slice(config.publicDir.length + 1).replaceAll("\\", "/"), readFileSync(path));
        }
        for (const [name, output] of Object.entries(bundle))
          files.set(name, output.type === "chunk" ? output.code : output.source);
        const source = await bundleWorker(config, precache(files));
        this.emitFile({ type: "asset", fileName: "sw.js", source });
      },
    },
  };
}

/** The list of what the worker keeps, and the name of the build: the digest of that list. */
export function precache(files: Map<string, string | Uint8Array>): Precache {
  const kept = [...files]
    .filter(([name]) => !LEFT_OUT.test(name))
    .map(([name, data]): [string, string] => [`/${name}`, `sha256-${sha256(data, "base64")}`])
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return { build: sha256(JSON.stringify(kept), "hex").slice(0, 16), files: Object.fromEntries(kept) };
}

async function bundleWorker(config: ResolvedConfig, list: Precache): Promise<string> {
  const result = await build({
    configFile: false,
    root: config.root,
    logLevel: "warn",
    publicDir: false,
    define: { __PRECACHE__: JSON.stringify(list) },
    resolve: { conditions: ["source", "module", "browser", "development|production"] },
    build: {
      write: false,
      target: "es2022",
      modulePreload: false,
      rolldownOptions: {
        input: join(config.root, "src/sw/worker.ts"),
        output: { format: "iife", entryFileNames: "sw.js", codeSplitting: false },
      },
    },
  });
  const { output } = (Array.isArray(result) ? result[0] : result) as Rolldown.RolldownOutput;
  return output[0].code;
}

const sha256 = (data: string | Uint8Array, encoding: "hex" | "base64") =>
  createHash("sha256").update(data).digest(encoding);

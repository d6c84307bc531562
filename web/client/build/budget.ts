/**
 * The budget of script at the start: what the page loads before it can show anything is counted at each build, and
 * a build that goes over fails.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

import type { Plugin, Rolldown } from "vite";

/** Bytes, gzipped, of the page's own scripts and everything that they import statically. */
export const SCRIPT_BYTES_MAX = 60 * 1024;

/** One row of the table. */
export interface Weight {
  file: string;
  gzipped: number;
}

type Bundle = Record<string, Rolldown.OutputChunk | Rolldown.OutputAsset>;

/** The scripts that are loaded at the start, the heaviest first. `read` gives those that are no part of the bundle. */
export function startScripts(bundle: Bundle, read: (path: string) => Buffer): Weight[] {
  const seen = new Set<string>();
  const visit = (name: string): void => {
    const chunk = bundle[name];
    if (seen.has(name) || chunk?.type !== "chunk") return;
    seen.add(name);
    chunk.imports.forEach(visit);
  };
  for (const [name, output] of Object.entries(bundle))
    if (output.type === "chunk" && output.isEntry) visit(name);
  const page = bundle["index.html"];
  const html = page?.type === "asset" ? String(page.source) : "";
  for (const [, file = ""] of html.matchAll(/<script[^>]*\ssrc="\/([^"]+)"/g)) seen.add(file);
  const source = (file: string) => {
    const chunk = bundle[file];
    return chunk?.type === "chunk" ? chunk.code : read(file);
  };
  return [...seen]
    .map((file) => ({ file, gzipped: gzipSync(source(file), { level: 9 }).length }))
    .sort((a, b) => b.gzipped - a.gzipped);
}

/** Prints the table, and fails the build above {@link SCRIPT_BYTES_MAX}. */
export function budget(): Plugin {
  let publicDir = "";
  return {
    name: "natterjack:budget",
    apply: "build",
    enforce: "post",
    configResolved(config) {
      publicDir = config.publicDir;
    },
    generateBundle: {
      order: "post",
      handler(_options, bundle) {
        const weights = startScripts(bundle, (path) => readFileSync(join(publicDir, path)));
        const total = weights.reduce((sum, weight) => sum + weight.gzipped, 0);
        const row = (name: string, bytes: number) => `  ${name.padEnd(44)}${kilobytes(bytes).padStart(10)}`;
        console.log(
          [
            "\nScript at the start, gzipped:",
            ...weights.map((weight) => row(weight.file, weight.gzipped)),
            row(`of ${kilobytes(SCRIPT_BYTES_MAX)}`, total),
          ].join("\n"),
        );
        if (total > SCRIPT_BYTES_MAX)
          this.error(
            `${kilobytes(total)} of script at the start, and ${kilobytes(SCRIPT_BYTES_MAX)} are allowed: ` +
              "load what is not needed at once with import()",
          );
      },
    },
  };
}

const kilobytes = (bytes: number) => `${(bytes / 1024).toFixed(1)} KB`;

/**
 * Where the parts of the repository are that the tests need.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The root of the repository. */
export const REPOSITORY = fileURLToPath(new URL("../../..", import.meta.url));

/** The page as it was built. */
export const PAGE_DIR = join(REPOSITORY, "web/client/dist");

/** What failed tests and measurements leave behind: logs, traces, screenshots. */
export const RESULTS_DIR = join(REPOSITORY, "web/e2e/test-results");

/** Pictures of the README. */
export const IMAGES_DIR = join(REPOSITORY, "docs/images");

function first(what: string, candidates: (string | undefined)[]): string {
  const found = candidates.find((path) => path !== undefined && existsSync(path));
  if (found === undefined) throw new Error(`${what}; looked at: ${candidates.filter(Boolean).join(", ")}`);
  return found;
}

/** The binary: `NATTERJACK_BIN`, or what cargo built last. */
export function binary(): string {
  return first("there is no natterjack: run `cargo build` first", [
    process.env.NATTERJACK_BIN,
    join(REPOSITORY, "target/debug/natterjack"),
    join(REPOSITORY, "target/release/natterjack"),
  ]);
}

/** Where nats-server and Postgres were installed; shared by all runs, so that they are installed once. */
export function toolsDir(): string {
  return process.env.NATTERJACK_TOOLS_DIR ?? join(REPOSITORY, "target/natterjack-tools");
}

/** The browser: `CHROMIUM`, or Debian's. */
export function chromium(): string {
  return first("there is no Chromium: `apt-get install chromium`", [
    process.env.CHROMIUM,
    "/usr/bin/chromium",
    "/usr/bin/chromium-browser",
  ]);
}

/**
 * The real server of the live tests: the one at `NATTERJACK_SERVER`, or a plain run of `NATTERJACK_BIN` in a
 * directory of its own, with the servers that were installed in `NATTERJACK_TOOLS_DIR`. Without either the tests
 * are skipped, and say so.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  export interface ProvidedContext {
    /** Where the server is; empty if there is none. */
    server: string;
    /** Whether its access tokens last a minute only. */
    shortTokens: boolean;
  }
}

/** Tests sign up and send faster than people, and wait for tokens to end. */
const ENVIRONMENT = {
  EDGE_NO_RATE_LIMITS: "true",
  NATTERJACK_NO_WEB: "true",
  NATTERJACK_ACCESS_TOKEN_MINUTES: "1",
  NATTERJACK_ARGON2_MEMORY_KIB: "8",
  NATTERJACK_ARGON2_PASSES: "1",
};

const READY_MS = 120_000;

export default async function setup(project: TestProject): Promise<(() => Promise<void>) | void> {
  const { NATTERJACK_SERVER: given, NATTERJACK_BIN: binary } = process.env;
  project.provide("shortTokens", given === undefined);
  if (given !== undefined) return project.provide("server", given.replace(/\/+$/, ""));
  if (binary === undefined) {
    console.warn(
      "\n  LIVE TESTS ARE SKIPPED: set NATTERJACK_SERVER to a server's address, or NATTERJACK_BIN\n",
    );
    return project.provide("server", "");
  }
  const dir = mkdtempSync(join(tmpdir(), "natterjack-sdk-"));
  const child = start(binary, dir);
  project.provide("server", await ready(child));
  return async () => {
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGINT");
    await ended;
    rmSync(dir, { recursive: true, force: true });
  };
}

function start(binary: string, dir: string): ChildProcess {
  const tools = process.env["NATTERJACK_TOOLS_DIR"];
  const options = ["--data-dir", join(dir, "data"), "--listen", "127.0.0.1:0"];
  if (tools !== undefined) options.push("--tools-dir", tools);
  const env = { ...process.env, ...ENVIRONMENT };
  return spawn(binary, options, { env, stdio: ["ignore", "pipe", "pipe"] });
}

function ready(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = "";
    const late = setTimeout(() => reject(new Error(`the server is not ready in time: ${said}`)), READY_MS);
    const hear = (data: Buffer): void => {
      said = (said + data.toString()).slice(-8_000);
      const found = /clients +(http:\S+)[\s\S]*Ctrl-C stops everything/.exec(said)?.[1];
      if (found === undefined) return;
      clearTimeout(late);
      resolve(found);
    };
    child.stdout?.on("data", hear);
    child.stderr?.on("data", hear);
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`the server ended with ${code}: ${said}`)));
  });
}

/**
 * What all test files share: one stack and one browser.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { PAGE_DIR } from "./paths.js";
import { Stack } from "./stack.js";

declare module "vitest" {
  export interface ProvidedContext {
    /** The address of the shared stack. */
    server: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  if (!existsSync(join(PAGE_DIR, "index.html")))
    throw new Error("there is no page: run `npm run build` first");
  const stack = await Stack.start();
  project.provide("server", stack.url);
  return async () => {
    await stack.stop();
  };
}

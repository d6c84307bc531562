/**
 * What all test files share: one stack and one browser.
 *
 * @module
 */
import type { TestProject } from "vitest/node";
import { Stack } from "./stack.js";

declare module "vitest" {
  export interface ProvidedContext {
    /** The address of the shared stack. */
    server: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const stack = await Stack.start();
  project.provide("server", stack.url);
  return async () => {
    await stack.stop();
  };
}

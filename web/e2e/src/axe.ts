/**
 * axe in the page, around the content security policy: its source is run by the browser's debugger.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Page } from "playwright-core";

const source = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** What axe finds wrong with the page as it stands: rule, element and why. */
export async function violations(page: Page): Promise<string[]> {
  const session = await page.context().newCDPSession(page);
  const run = `${source};axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) =>
    violations.flatMap((rule) => rule.nodes.map((node) =>
      rule.id + " at " + node.target.join(" ") + ": " + (node.failureSummary ?? rule.help).replace(/\\s+/g, " "))))`;
  const { result, exceptionDetails } = await session.send("Runtime.evaluate", {
    expression: run,
    awaitPromise: true,
    returnByValue: true,
  });
  await session.detach();
  if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
  return result.value as string[];
}

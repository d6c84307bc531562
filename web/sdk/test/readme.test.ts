/** The README shows the examples as they are compiled. Run with `UPDATE_README=1`, it is brought up to date. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { expect, test } from "vitest";

const README = fileURLToPath(new URL("../README.md", import.meta.url));
const EXAMPLES = fileURLToPath(new URL("../examples/", import.meta.url));
const SHOWN = /<!-- example: (\S+) -->\n(?:\n```ts\n[\s\S]*?\n```\n)?/g;

/** The README with each example as it is now. */
function upToDate(readme: string): string {
  return readme.replace(SHOWN, (_, name: string) => {
    const text = readFileSync(`${EXAMPLES}${name}`, "utf8").trimEnd();
    return `<!-- example: ${name} -->\n\n\`\`\`ts\n${text}\n\`\`\`\n`;
  });
}

test("each example stands in the README, as it is", () => {
  const readme = readFileSync(README, "utf8");
  if (process.env.UPDATE_README !== undefined) writeFileSync(README, upToDate(readme));
  const now = readFileSync(README, "utf8");
  expect(now).toBe(upToDate(now));
  const shown = [...now.matchAll(SHOWN)].map(([, name]) => name);
  expect(shown.sort()).toEqual(readdirSync(EXAMPLES).sort());
});

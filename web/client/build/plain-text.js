/**
 * Part of `npm run check`: nothing in the page makes HTML or script of a text, and nothing carries a style or script
 * that the content security policy would refuse. Texts are text nodes, always.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const root = new URL("..", import.meta.url).pathname;

/** What must not stand in the page's sources, and why. */
const FORBIDDEN = [
  [/\{@html\b/, "a text becomes HTML"],
  [
    /\b(?:inner|outer)HTML\b|\binsertAdjacentHTML\b|\bdocument\.write\b|\bDOMParser\b|\bsrcdoc\b/,
    "a text becomes HTML",
  ],
  [/\beval\(|\bnew Function\b/, "a text becomes script"],
  [/\sstyle=["{]/, "the policy refuses style attributes: use a class or style:property"],
  [/<script(?![^>]*\ssrc=)(?![^>]*\slang="ts")/, "the policy refuses inline script"],
  [/\son[a-z]+="/, "the policy refuses inline handlers"],
];

const sources = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
  .filter((name) => /\.(svelte|ts)$/.test(name))
  .map((name) => join("src", name));

let found = 0;
for (const name of ["index.html", ...sources]) {
  for (const [index, line] of readFileSync(join(root, name), "utf8").split("\n").entries()) {
    for (const [pattern, why] of FORBIDDEN) {
      if (!pattern.test(line)) continue;
      console.error(`${name}:${index + 1}: ${why}\n    ${line.trim()}`);
      found++;
    }
  }
}
if (found > 0) process.exitCode = 1;

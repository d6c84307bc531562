import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";

import { startScripts } from "../build/budget.js";

const chunk = (code: string, imports: string[] = [], isEntry = false) => ({
  type: "chunk",
  code,
  imports,
  isEntry,
});
const page = { type: "asset", source: '<script src="/boot.js"></script><script type="module" src="/a.js">' };
const weigh = (bundle: object) => startScripts(bundle as never, () => Buffer.from("boot"));

describe("the script at the start", () => {
  it("is the page's scripts and all that they import statically", () => {
    const bundle = {
      "index.html": page,
      "a.js": chunk("a", ["b.js"], true),
      "b.js": chunk("b", ["c.js"]),
      "c.js": chunk(randomBytes(500).toString("hex"), ["b.js"]),
      "lazy.js": chunk("lazy", ["b.js"]),
    };
    const weights = weigh(bundle);
    expect(weights.map((weight) => weight.file).sort()).toEqual(["a.js", "b.js", "boot.js", "c.js"]);
    expect(weights[0]!.file).toBe("c.js");
    expect(weights[0]!.gzipped).toBeGreaterThan(500);
  });
});

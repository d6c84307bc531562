/** The transcripts of `nats/golden/transcripts/`, with this SDK as the client. */
import { describe, expect, test } from "vitest";
import { play } from "./player.js";
import { scripts } from "./script.js";

describe.concurrent("transcripts", () => {
  test("there are some", () => {
    expect(scripts().length).toBeGreaterThan(15);
  });

  test.for(scripts().map((script) => [script.name, script] as const))(
    "%s",
    { timeout: 40_000 },
    ([, script]) => play(script),
  );
});

/** The stage itself: the servers answer, a link has weather, and an edge can be killed. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { Stack } from "../src/stack.js";
import { until } from "../src/until.js";
import { User } from "../src/users.js";

let stack: Stack;
beforeAll(async () => {
  stack = await Stack.start();
});
afterAll(async () => {
  await stack.stop();
});

test("what one writes is on disk and another one reads it, through any edge", async () => {
  const edge = await stack.edge();
  const [ann, bob] = [await User.signUp(stack.url, "Ann"), await User.signUp(edge.url, "Bob")];
  const [hers, his] = [await ann.socket(), await bob.socket()];
  const seqs = await hers.fill(
    ann.dm(bob),
    Array.from({ length: 120 }, (_, n) => `message ${n}`),
  );
  expect((await bob.history(ann.dm(bob))).map((message) => message.seq)).toEqual(seqs);
  await until("it is heard live", () => his.heard.filter((frame) => frame.type === "message").length === 120);

  stack.link.set("still");
  const late = hers.say(ann.dm(bob), "held up");
  stack.link.set("fair");
  expect(await late).toBeGreaterThan(seqs.at(-1)!);

  stack.link.set("cut");
  await expect(hers.say(ann.dm(bob), "lost")).rejects.toThrow("closed");
  stack.link.set("fair");

  await edge.kill();
  await until("the dead edge is named no more", async () => {
    const edges = await ann.call<{ url: string }[]>("GET", "/v1/edges");
    return !edges.some((one) => one.url === edge.url);
  });
});

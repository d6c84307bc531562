/** `npm run perf`: the figures that docs/performance.md names, printed, with traces in test-results/. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inject, test } from "vitest";
import { visit } from "../src/browser.js";
import { message } from "../src/chat.js";
import { RESULTS_DIR } from "../src/paths.js";
import {
  allBytes,
  firstConversation,
  flood,
  forget,
  pair,
  startBytes,
  throttle,
} from "../src/perf/measure.js";

const server = inject("server");
const kb = (bytes: number) => `${(bytes / 1024).toFixed(1)} KB`;
const median = (values: number[]) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)]!;

test("the figures", { timeout: 300_000 }, async () => {
  mkdirSync(RESULTS_DIR, { recursive: true });
  const lines = [`script at the start, gzipped: ${kb(startBytes())}; all of it: ${kb(allBytes())}`];
  const { ann, bob, dm } = await pair(server);
  const { visitor, page } = await visit(server, ann);
  // The address at which the device forgets has no icon.
  visitor.networkFails = true;
  await throttle(page, 4);
  for (const cold of [true, false]) {
    const times: number[] = [];
    for (let n = 0; n < 7; n++) {
      if (cold) await forget(page, ann);
      else await page.goto("about:blank");
      times.push(await firstConversation(page, server, `/c/${dm}`));
    }
    const list = times.map((time) => time.toFixed(0)).join(", ");
    lines.push(
      `first conversation, ${cold ? "cold" : "warm"}, 4× throttled: median ${median(times).toFixed(0)} ms (${list})`,
    );
  }
  for (const rate of [1, 4]) {
    await page.goto(`${server}/c/${dm}`);
    await message(page, /message 299|flood/)
      .last()
      .waitFor();
    await throttle(page, rate);
    const { tasks, json } = await flood(page, bob, dm, { perSecond: 50, seconds: 20 });
    const file = join(RESULTS_DIR, `flood-${rate}x.trace.json`);
    writeFileSync(file, json);
    const long = tasks.filter((task) => task.cpuMs > 50).length;
    const busy = tasks.reduce((sum, task) => sum + task.cpuMs, 0) / 200;
    const at = (share: number) => tasks[Math.floor((1 - share) * tasks.length)]!.cpuMs.toFixed(1);
    lines.push(
      `50 messages/s for 20 s, ${rate}× throttled: ${long} of ${tasks.length} tasks over 50 ms of CPU; 99 % within ` +
        `${at(0.99)} ms, 99.9 % within ${at(0.999)} ms, the longest ${at(1)} ms; ${busy.toFixed(1)} % of a processor; ` +
        `trace in ${file}`,
    );
  }
  console.log(lines.join("\n"));
});

/** A day of 5,000 messages: scrolled both ways without drift, and jumped into. */
import { beforeAll, expect, inject, test } from "vitest";
import type { Page } from "playwright-core";
import { visit } from "../src/browser.js";
import { feed, message, openChat } from "../src/chat.js";
import { walk } from "../src/drift.js";
import { until } from "../src/until.js";
import { User } from "../src/users.js";

const MESSAGES = 5_000;
const server = inject("server");
let [ann, bob] = [] as unknown as [User, User];
let seqs: number[] = [];

beforeAll(async () => {
  [ann, bob] = [await User.signUp(server, "Ann"), await User.signUp(server, "Bob")];
  // Rows of many heights, now and then one that is collapsed.
  const texts = Array.from({ length: MESSAGES }, (_, n) => {
    const words = n % 97 === 0 ? 400 : (n * 7) % 41;
    return `#${n} ${"word ".repeat(words)}`.trim();
  });
  const socket = await bob.socket();
  seqs = await socket.fill(ann.dm(bob), texts);
  socket.close();
  await ann.read(ann.dm(bob), seqs.at(-1)!);
});

/** Ann at the end of it. */
async function atTheEnd(path?: string): Promise<Page> {
  const { page } = await visit(server, ann);
  if (path === undefined) {
    await openChat(page, "Bob");
    await message(page, `#${MESSAGES - 1}`).waitFor();
  } else {
    await page.goto(server + path);
    await feed(page).waitFor();
  }
  return page;
}

/** Whether a message is on the screen, and not only in the document. */
function onScreen(page: Page, number: number): Promise<boolean> {
  return message(page, new RegExp(`#${number}\\b`)).evaluate((row) => {
    const { top, bottom } = row.getBoundingClientRect();
    return bottom > 0 && top < innerHeight;
  });
}

test(
  "up to the first message and down to the last, every message is seen and nothing drifts",
  { timeout: 300_000 },
  async () => {
    const page = await atTheEnd();
    const up = await walk(page, "up", 0);
    expect(up.seen).toEqual(Array.from({ length: MESSAGES }, (_, n) => MESSAGES - 1 - n));
    expect(up.loads).toBeGreaterThan(20);
    expect(up.driftMax).toBeLessThan(0.5);
    // The document stays small whatever was read.
    expect(await feed(page).getByRole("article").count()).toBeLessThanOrEqual(360);
    const down = await walk(page, "down", MESSAGES - 1);
    expect(down.seen).toEqual(Array.from({ length: MESSAGES }, (_, n) => n));
    expect(down.driftMax).toBeLessThan(0.5);
    console.log(
      `5,000 messages: ${up.steps} steps up, ${down.steps} down; drift ${up.driftMax} px and ${down.driftMax} px`,
    );
  },
);

test("a message that arrives while one reads further up moves nothing", async () => {
  const page = await atTheEnd();
  await walk(page, "up", MESSAGES - 200);
  const place = () =>
    feed(page).evaluate((element) => {
      const rows = [...element.querySelectorAll("[data-key]")];
      const row = rows.find((one) => one.getBoundingClientRect().top > 200)!;
      return [row.getAttribute("data-key"), row.getBoundingClientRect().top] as const;
    });
  const before = await place();
  const seq = await bob.say(ann.dm(bob), "#5000 a new one");
  await page.getByRole("button", { name: "Jump to newest" }).filter({ hasText: "1" }).waitFor();
  expect(await place()).toEqual(before);
  await page.getByRole("button", { name: "Jump to newest" }).click();
  await until("the new one is on the screen", () => onScreen(page, 5000));
  await until("it is read", async () => (await ann.summary(ann.dm(bob))).cursor.read === seq);
});

test("one jumps to a message, to a date, and to what was answered", async () => {
  const dm = ann.dm(bob);
  const page = await atTheEnd(`/c/${dm}?m=${seqs[2_500]}`);
  await until("the message is on the screen", () => onScreen(page, 2_500));
  // From there it goes on both ways.
  const down = await walk(page, "down", 2_600);
  expect(down.driftMax).toBeLessThan(0.5);
  expect(down.seen).toEqual(Array.from({ length: down.seen.length }, (_, n) => down.seen[0]! + n));

  await page.getByRole("button", { name: "Go to date" }).click();
  const dialog = page.getByRole("dialog");
  const now = new Date();
  const today = [now.getFullYear(), now.getMonth() + 1, now.getDate()].map((part) =>
    String(part).padStart(2, "0"),
  );
  await dialog.getByLabel("Date").fill(today.join("-"));
  await dialog.getByRole("button", { name: "Go", exact: true }).click();
  await until("the day's first message is on the screen", () => onScreen(page, 0));

  await bob.say(dm, "an answer to something old", seqs[1_234]);
  await page.getByRole("button", { name: "Jump to newest" }).click();
  const answer = message(page, "an answer to something old");
  await answer.waitFor();
  await answer.getByRole("button", { name: /#1234/ }).click();
  await until("what was answered is on the screen", () => onScreen(page, 1_234));
});

/** Finding people and conversations by typing: Enter takes who is meant, also when the answer takes its time. */
import { beforeEach, expect, inject, test } from "vitest";
import type { Page } from "playwright-core";
import { visit } from "../src/browser.js";
import { entry } from "../src/chat.js";
import { until } from "../src/until.js";
import { User } from "../src/users.js";

const server = inject("server");
let [ann, bob, cleo] = [] as unknown as [User, User, User];

beforeEach(async () => {
  [ann, bob, cleo] = await Promise.all([
    User.signUp(server, "Ann Lee"),
    User.signUp(server, "Bob Ray"),
    User.signUp(server, "Cleo Fox"),
  ]);
  await bob.say(ann.dm(bob), "Hello, Ann");
});

/** Holds the server's answers to searches from now on; `release` lets them through. */
async function hold(page: Page): Promise<{ asked: () => boolean; release: () => void }> {
  let asked = false;
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  await page.route(/\/v1\/users\?/, async (route) => {
    asked = true;
    await held;
    await route.continue();
  });
  return { asked: () => asked, release };
}

test("Enter in the search opens who was found, and nothing that does not match", async () => {
  const { page } = await visit(server, ann);
  await entry(page, "Bob Ray").waitFor();
  const field = page.getByRole("searchbox");
  await field.fill("qqqqzzzz");
  await field.press("Enter");
  await page.getByText("qqqqzzzz").waitFor();
  expect(new URL(page.url()).pathname).toBe("/");

  const { asked, release } = await hold(page);
  await field.fill(cleo.handle);
  await field.press("Enter");
  await until("the server is asked", async () => asked());
  expect(new URL(page.url()).pathname).toBe("/");
  release();
  await page.getByRole("main").getByRole("heading", { name: "Cleo Fox" }).waitFor();
});

test("Enter adds whom the last query means, not whom the one before found", async () => {
  const { page } = await visit(server, ann);
  await page.getByRole("button", { name: "New group" }).click();
  const dialog = page.getByRole("dialog");
  const field = dialog.getByRole("searchbox");
  await field.fill(bob.handle);
  await dialog.getByRole("checkbox", { name: /Bob Ray/ }).waitFor();

  const { asked, release } = await hold(page);
  await field.fill(cleo.handle);
  await field.press("Enter");
  await until("the server is asked", async () => asked());
  expect(await field.inputValue()).toBe(cleo.handle);
  release();
  const chips = dialog.getByRole("button", { name: /Cleo Fox|Bob Ray/ });
  await chips.first().waitFor();
  expect(await chips.allInnerTexts()).toEqual(["Cleo Fox"]);
  expect(await field.inputValue()).toBe("");
});

test("the quick switcher goes to the exact handle, once the server has named it", async () => {
  const { page } = await visit(server, ann);
  await entry(page, "Bob Ray").waitFor();
  await page.keyboard.press("Control+k");
  const field = page.getByRole("dialog").getByRole("combobox");
  const { asked, release } = await hold(page);
  await field.fill(`@${cleo.handle}`);
  await field.press("Enter");
  await until("the server is asked", async () => asked());
  release();
  await page.getByRole("main").getByRole("heading", { name: "Cleo Fox" }).waitFor();
});

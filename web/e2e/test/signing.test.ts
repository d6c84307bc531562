/** Ways in and out: Back after signing up, and a device that is signed out from elsewhere. */
import { randomBytes } from "node:crypto";
import { expect, inject, test } from "vitest";
import type { Page } from "playwright-core";
import { visit, Visitor } from "../src/browser.js";
import { openChat, write, status } from "../src/chat.js";
import { until } from "../src/until.js";
import { PASSWORD, User } from "../src/users.js";

const server = inject("server");
const phone = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };

/** The databases of users on this device. */
const databases = (page: Page) =>
  page.evaluate(async () => {
    const names = (await indexedDB.databases()).map(({ name }) => name ?? "");
    return names.filter((name) => name.startsWith("natterjack."));
  });

test("on a phone, Back after signing up leads to no form", async () => {
  const visitor = await Visitor.arrive(server, phone);
  const page = await visitor.tab("/login");
  await page.locator("a[href='/signup']").click();
  await page.locator("input[autocomplete~=username]").fill(`ann-${randomBytes(3).toString("hex")}`);
  await page.locator("input[type=password]").fill(PASSWORD);
  await page.locator("form button[type=submit]").click();
  await page.getByRole("searchbox").waitFor();
  expect(new URL(page.url()).pathname).toBe("/");
  // Forms that stand in the history all the same, as after an earlier sign-out.
  await page.evaluate(() => {
    history.replaceState(null, "", "/login");
    history.pushState(null, "", "/settings");
  });
  await page.goBack();
  await until("the list is there", async () => new URL(page.url()).pathname === "/");
  await page.getByRole("searchbox").waitFor();
});

test("a device that is signed out from elsewhere keeps nothing", async () => {
  const [ann, bob] = [await User.signUp(server, "Ann"), await User.signUp(server, "Bob")];
  await bob.say(ann.dm(bob), "for your eyes only");
  const { visitor, page } = await visit(server, ann);
  await openChat(page, "Bob");
  await write(page, "understood");
  await status(page, "understood", /stored|delivered/);
  expect(await databases(page)).toEqual([`natterjack.${ann.id}`]);
  // The browser says itself that a request with the revoked token was refused.
  visitor.networkFails = true;
  await ann.call("DELETE", "/v1/devices");
  await page.getByRole("heading", { name: "This device was signed out" }).waitFor();
  await until("the data is gone", async () => (await databases(page)).length === 0);
  await page.getByRole("button", { name: "Log in again" }).click();
  await page.locator("input[type=password]").waitFor();
  expect(await databases(page)).toEqual([]);
});

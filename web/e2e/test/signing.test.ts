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

/** Lets the first answer to a request of that kind be lost on its way: the server has done it. */
async function loseAnswer(page: Page, path: string): Promise<void> {
  let isLost = false;
  await page.route(`**${path}`, async (route) => {
    if (isLost || route.request().method() !== "POST") return route.continue();
    isLost = true;
    await route.fetch();
    await route.abort();
  });
}

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

test("a sign-up and a group whose answers were lost: again is no second one, and nothing is taken", async () => {
  const visitor = await Visitor.arrive(server);
  visitor.networkFails = true;
  const page = await visitor.tab("/signup");
  await loseAnswer(page, "/v1/signup");
  await loseAnswer(page, "/v1/groups");
  const handle = `ann-${randomBytes(3).toString("hex")}`;
  await page.locator("input[autocomplete~=username]").fill(handle);
  await page.locator("input[type=password]").fill(PASSWORD);
  const submit = page.locator("form button[type=submit]");
  await submit.click();
  await page.getByRole("alert").waitFor();
  await submit.click();
  await page.getByRole("searchbox").waitFor();

  await page.getByRole("button", { name: "New group" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("textbox", { name: "Group name" }).fill("Pond keepers");
  const create = dialog.getByRole("button", { name: "Create group" });
  await create.click();
  await dialog.getByRole("alert").waitFor();
  await create.click();
  await page.getByRole("main").getByRole("heading", { name: "Pond keepers" }).waitFor();
  const ann = await User.logIn(server, handle);
  const { conversations } = await ann.call<{ conversations: unknown[] }>("GET", "/v1/conversations");
  expect(conversations).toHaveLength(1);
  // The one of the page, and the one that looks.
  expect(await ann.call<unknown[]>("GET", "/v1/devices")).toHaveLength(2);
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

test("a device that was signed out while the page was closed is told so, and keeps nothing", async () => {
  const [ann, bob] = [await User.signUp(server, "Ann"), await User.signUp(server, "Bob")];
  await bob.say(ann.dm(bob), "for your eyes only");
  const { visitor, page: first } = await visit(server, ann);
  await openChat(first, "Bob");
  await write(first, "understood");
  await status(first, "understood", /stored|delivered/);
  visitor.networkFails = true;
  const page = await visitor.tab("/icon.svg");
  await first.close();
  await ann.call("DELETE", "/v1/devices");
  // Days later: the access token has ended.
  await page.evaluate(async () => {
    const request = indexedDB.open("natterjack-accounts");
    const database = await new Promise<IDBDatabase>((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error as DOMException);
    });
    const change = database.transaction("accounts", "readwrite");
    const all = change.objectStore("accounts");
    const read = all.get("account");
    read.onsuccess = () => all.put({ ...(read.result as object), good_until: 0 }, "account");
    await new Promise((resolve) => (change.oncomplete = resolve));
    database.close();
  });
  expect(await databases(page)).toEqual([`natterjack.${ann.id}`]);
  await page.goto(`${server}/`);
  await page.getByRole("heading", { name: "This device was signed out" }).waitFor();
  await until("the data is gone", async () => (await databases(page)).length === 0);
  await page.getByRole("button", { name: "Log in again" }).click();
  await page.locator("input[type=password]").waitFor();
});

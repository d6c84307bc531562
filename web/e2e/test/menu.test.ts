/** Menus: of a member, of a message. They stay while messages come in, go with what they belong to, and hear the same keys. */
import { expect, inject, test } from "vitest";
import { count, visit } from "../src/browser.js";
import { composer, feed, message, openChat } from "../src/chat.js";
import { until } from "../src/until.js";
import { User } from "../src/users.js";

const server = inject("server");

test("a menu stays open while the thread beside it scrolls, and gives the focus back when its own list does", async () => {
  const [ann, bob] = [await User.signUp(server, "Ann Lee"), await User.signUp(server, "Bob Ray")];
  const others = await Promise.all(
    Array.from({ length: 12 }, (_, n) => User.signUp(server, `Member ${n + 1}`)),
  );
  const group = await ann.group("Pond keepers", [bob, ...others]);
  for (let n = 1; n <= 30; n++) await bob.say(group, `Ripple ${n}`);
  const { page } = await visit(server, ann);
  await openChat(page, "Pond keepers");
  await message(page, "Ripple 30").waitFor();
  await page.goto(`${server}/c/${group}/details`);
  await message(page, "Ripple 30").waitFor();
  const details = page.getByRole("complementary", { name: "Details" });
  const line = details.getByRole("listitem").filter({ hasText: "Bob Ray" });
  const button = line.getByRole("button", { name: /^Member actions/ });
  // What a click has to scroll into view first would close the menu again: there is room for all.
  await button.click();
  const menu = page.getByRole("menu");
  await menu.waitFor();

  await page.evaluate(() => {
    document.addEventListener("scroll", () => (document.body.dataset["scrolled"] = "yes"), true);
  });
  await bob.say(group, "A splash");
  await message(page, "A splash").waitFor();
  await feed(page).evaluate((element) => {
    for (let one: Element | null = element; one; one = one.parentElement) one.scrollTop -= 200;
  });
  await until("the thread has scrolled", () =>
    page.evaluate(() => document.body.dataset["scrolled"] === "yes"),
  );
  expect(await menu.isVisible()).toBe(true);

  await button.evaluate((element) => {
    for (let one: Element | null = element; one; one = one.parentElement) {
      one.scrollTop += one.scrollTop > 0 ? -20 : 20;
    }
  });
  await count(menu, 0);
  expect(await button.evaluate((element) => element === document.activeElement)).toBe(true);
});

test("the menu of a message hears arrows and first letters, and its button closes it again", async () => {
  const [ann, bob] = [await User.signUp(server, "Ann Lee"), await User.signUp(server, "Bob Ray")];
  await ann.say(ann.dm(bob), "A ripple");
  const { page } = await visit(server, ann);
  await openChat(page, "Bob Ray");
  const row = message(page, "A ripple");
  await row.hover();
  const button = row.getByRole("button", { name: "Message actions" });
  await button.click();
  const menu = page.getByRole("menu", { name: "Message actions" });
  const has = (name: string) =>
    until(`the focus is on ${name}`, () =>
      menu.getByRole("menuitem", { name }).evaluate((item) => item === document.activeElement),
    );
  await has("Reply");
  await page.keyboard.press("d");
  await has("Delete");
  await page.keyboard.press("ArrowDown");
  await has("Reply");
  // The button is pressed where it stands; the menu lies beside it.
  await button.click();
  await count(menu, 0);
  await button.click();
  await has("Reply");
  await page.keyboard.press("Enter");
  await count(menu, 0);
  await until("one writes", () => composer(page).evaluate((field) => field.contains(document.activeElement)));
});

/**
 * What it looks like and how it is used without a mouse: schemes, a phone, Arabic, reduced motion, and axe in
 * each main state. With `NATTERJACK_SCREENSHOTS=1` the pictures of the README are taken.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, inject, test } from "vitest";
import type { BrowserContextOptions, Page } from "playwright-core";
import { violations } from "../src/axe.js";
import { Visitor, logIn, visit } from "../src/browser.js";
import { composer, entry, feed, message, openChat, status } from "../src/chat.js";
import { IMAGES_DIR } from "../src/paths.js";
import { until } from "../src/until.js";
import { populate, type World } from "../src/world.js";
import { PASSWORD, User } from "../src/users.js";

const server = inject("server");
const PHONE = { viewport: { width: 390, height: 800 }, hasTouch: true, isMobile: true };
let world: World;

beforeAll(async () => {
  world = await populate(server);
});

/** A picture for the README, if they are wanted. */
async function picture(page: Page, name: string): Promise<void> {
  if (process.env.NATTERJACK_SCREENSHOTS !== "1") return;
  mkdirSync(IMAGES_DIR, { recursive: true });
  await page.mouse.move(0, 0);
  await page.evaluate(() => (document.activeElement as HTMLElement | null)?.blur());
  await page.screenshot({ path: join(IMAGES_DIR, `${name}.png`), animations: "disabled" });
}

async function clean(page: Page, state: string): Promise<void> {
  // Colours are judged once nothing fades any more.
  await until("nothing moves", () =>
    page.evaluate(() => !document.getAnimations().some((one) => one.playState === "running")),
  );
  const found = await violations(page);
  expect(found, `axe finds something wrong with: ${state}`).toEqual([]);
}

for (const colorScheme of ["light", "dark"] as const) {
  test(`the main states in ${colorScheme} have nothing that axe objects to`, async () => {
    const options: BrowserContextOptions = { colorScheme };
    const stranger = await Visitor.arrive(server, options);
    const door = await stranger.tab("/login");
    await door.getByRole("heading", { name: "Log in" }).waitFor();
    await clean(door, "log in");
    await door.goto(`${server}/signup`);
    await door.getByRole("heading", { name: "Create an account" }).waitFor();
    await clean(door, "sign up");

    const { page } = await visit(server, world.me, options);
    await entry(page, "Pond restoration").waitFor();
    await clean(page, "the list");
    await openChat(page, "Pond restoration");
    await message(page, "🎉🐸").waitFor();
    await status(page, "Thursday works for me", "read");
    await clean(page, "a thread");
    await picture(page, `thread-${colorScheme}`);

    await message(page, "Thursday works for me").hover();
    await message(page, "Thursday works for me").getByRole("button", { name: "Message actions" }).click();
    await page.getByRole("menuitem", { name: "Reply" }).waitFor();
    await clean(page, "the menu of a message");
    await page.keyboard.press("Escape");

    await page.keyboard.press("Control+k");
    await page.getByRole("dialog", { name: "Go to" }).waitFor();
    await page.keyboard.type("po");
    await page.getByRole("dialog").getByRole("option").first().waitFor();
    await clean(page, "the quick switcher");
    await page.keyboard.press("Escape");

    await page.goto(`${server}/c/${world.pond}/details`);
    await page.getByRole("complementary", { name: "Details" }).getByText("Priya Nair").waitFor();
    await message(page, "🎉🐸").waitFor();
    await clean(page, "the details of a group");
    await picture(page, `group-${colorScheme}`);

    for (const path of ["/settings", "/settings/notifications", "/settings/devices"]) {
      await page.goto(server + path);
      await page.getByRole("heading", { name: "Settings" }).first().waitFor();
      await until("it has loaded", async () => (await page.locator("[aria-busy=true]").count()) === 0);
      await clean(page, path);
      if (path === "/settings") await picture(page, `settings-${colorScheme}`);
    }
  });
}

test("a phone has one pane, and Back leads from the details to the thread to the list", async () => {
  const { page } = await visit(server, world.me, PHONE);
  await entry(page, "Pond restoration").waitFor();
  await clean(page, "the list on a phone");
  await picture(page, "phone-list");
  await entry(page, "Pond restoration").click();
  await message(page, "🎉🐸").waitFor();
  expect(await entry(page, "Pond restoration").isVisible()).toBe(false);
  await clean(page, "a thread on a phone");
  await picture(page, "phone-thread");
  // Nothing is wider than the screen.
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390);

  await page.goto(`${server}/c/${world.pond}/details`);
  await page.getByRole("complementary", { name: "Details" }).waitFor();
  const inFront = () =>
    page.evaluate(() => document.elementFromPoint(195, 400)?.closest("aside, main, nav")?.tagName);
  await until("the details are all there is to see", async () => (await inFront()) === "ASIDE");
  await clean(page, "the details on a phone");
  const details = page.getByRole("complementary", { name: "Details" });
  await details
    .getByRole("button", { name: "Back" })
    .or(details.getByRole("link", { name: "Back" }))
    .click();
  await message(page, "🎉🐸").waitFor();
  await page
    .getByRole("button", { name: "Back" })
    .or(page.getByRole("link", { name: "Back" }))
    .first()
    .click();
  await entry(page, "Pond restoration").waitFor();
  await until("the list is all there is to see", async () => (await inFront()) === "NAV");
  expect(await feed(page).count()).toBe(0);

  // And so does the browser's own.
  await entry(page, "Weekend hikes").click();
  await message(page, "coffee").waitFor();
  await page.goBack();
  await entry(page, "Weekend hikes").waitFor();
  await page.goForward();
  await message(page, "coffee").waitFor();
});

test("Arabic turns the page around, and texts go in the direction of their script", async () => {
  const { page } = await visit(server, world.me, { locale: "ar" });
  const dir = () => page.evaluate(() => document.documentElement.dir);
  await until("right to left", async () => (await dir()) === "rtl");
  await page.getByRole("link", { name: /^ليلى حداد/ }).click();
  const arabic = page.getByRole("article").filter({ hasText: "صباح الخير" });
  await arabic.waitFor();
  await clean(page, "a thread in Arabic");
  await picture(page, "arabic");
  await page.getByRole("link", { name: /^Pond restoration/ }).click();
  const english = page.getByRole("article").filter({ hasText: "Morning all" });
  await english.waitFor();
  const direction = (text: string) =>
    page.evaluate((text) => {
      const walker = document.createTreeWalker(
        document.querySelector('[role="feed"]')!,
        NodeFilter.SHOW_TEXT,
      );
      while (walker.nextNode()) {
        if (walker.currentNode.textContent?.includes(text)) {
          return getComputedStyle(walker.currentNode.parentElement!).direction;
        }
      }
      return undefined;
    }, text);
  expect(await direction("Morning all")).toBe("ltr");
  expect(await direction("سأحضر")).toBe("rtl");
  // The list stands at the right.
  const list = await page
    .getByRole("link", { name: /^Pond restoration/ })
    .first()
    .boundingBox();
  expect(list!.x).toBeGreaterThan(640);
});

test("in a page from left to right, Arabic texts are right to left", async () => {
  const { page } = await visit(server, world.me);
  await openChat(page, "ليلى حداد");
  const arabic = message(page, "صباح الخير");
  const direction = await arabic
    .getByText("صباح الخير")
    .first()
    .evaluate((element) => getComputedStyle(element).direction);
  expect(direction).toBe("rtl");
});

test("with reduced motion, nothing moves", async () => {
  const { page } = await visit(server, world.me, { reducedMotion: "reduce" });
  await openChat(page, "Pond restoration");
  await message(page, "🎉🐸").waitFor();
  const moving = await page.evaluate(
    () =>
      [...document.querySelectorAll("*")].filter((element) => {
        const style = getComputedStyle(element);
        const longest = (list: string) => Math.max(...list.split(",").map((part) => Number.parseFloat(part)));
        return (
          (style.animationName !== "none" && longest(style.animationDuration) > 0.01) ||
          longest(style.transitionDuration) > 0.01 ||
          style.scrollBehavior === "smooth"
        );
      }).length,
  );
  expect(moving).toBe(0);
});

test("without a mouse: sign in, find somebody, write, edit, answer, and leave", async () => {
  const ann = await User.signUp(server, "Ann Keys");
  const ben = await User.signUp(server, "Ben Board");
  const visitor = await Visitor.arrive(server);
  const page = await visitor.tab("/login");
  const focused = () => page.evaluate(() => document.activeElement?.outerHTML.slice(0, 200));
  const tabTo = async (what: string, is: () => Promise<boolean>) => {
    for (let n = 0; n < 40; n++) {
      if (await is()) return;
      await page.keyboard.press("Tab");
    }
    throw new Error(`no way to ${what} by Tab; at ${await focused()}`);
  };
  const at = (selector: string) => () =>
    page.evaluate((s) => document.activeElement?.matches(s) ?? false, selector);
  await tabTo("the handle", at("input[autocomplete~=username]"));
  await page.keyboard.type(ann.handle);
  await tabTo("the password", at("input[type=password]"));
  await page.keyboard.type(PASSWORD);
  await page.keyboard.press("Enter");
  await page.getByRole("searchbox", { name: "Search" }).waitFor();

  await page.keyboard.press("Control+k");
  await page.getByRole("dialog", { name: "Go to" }).waitFor();
  await page.keyboard.type(ben.handle.slice(0, 12));
  await page
    .getByRole("dialog")
    .getByRole("option", { name: /Ben Board/ })
    .waitFor();
  await page.keyboard.press("Enter");
  await page.getByRole("main").getByRole("heading", { name: "Ben Board" }).waitFor();
  // One can write at once.
  await until("the composer has the focus", () =>
    composer(page).evaluate((element) => element === document.activeElement),
  );
  await page.keyboard.type("First line");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("and a second");
  await page.keyboard.press("Enter");
  await until("both lines are there", async () => {
    const last = (await ben.history(ann.dm(ben))).at(-1);
    return last?.kind === "text" && last.text === "First line\nand a second";
  });
  await status(page, "and a second", /stored|delivered/);
  await page.keyboard.press("ArrowUp");
  await until("it is there to be edited", async () =>
    (await composer(page).inputValue()).startsWith("First"),
  );
  await page.keyboard.press("End");
  await page.keyboard.type("!");
  await page.keyboard.press("Enter");
  await message(page, "and a second!").filter({ hasText: "edited" }).waitFor();

  // Into the thread, from article to article, and to the menu of one.
  await ben.say(ann.dm(ben), "An answer");
  await message(page, "An answer").waitFor();
  await page.keyboard.press("Shift+Tab");
  await tabTo("an article", at("article, article *")).catch(async () => {
    for (let n = 0; n < 20 && !(await at("article, article *")()); n++) {
      await page.keyboard.press("Shift+Tab");
    }
  });
  await page.keyboard.press("PageUp");
  expect(await at("article, article *")()).toBe(true);
  // Everything that has the focus shows it.
  const ring = await page.evaluate(() => {
    const focused = document.activeElement!;
    return [focused, ...focused.querySelectorAll("*")].some((element) => {
      const style = getComputedStyle(element);
      return style.outlineStyle !== "none" && Number.parseFloat(style.outlineWidth) >= 2;
    });
  });
  expect(ring).toBe(true);
});

test("the account that was just made is told how to go on", async () => {
  const visitor = await Visitor.arrive(server);
  const page = await visitor.tab("/");
  await page.getByRole("heading", { name: "Log in" }).waitFor();
  await page
    .getByRole("link", { name: "Create an account" })
    .or(page.getByRole("button", { name: "Create an account" }))
    .click();
  const handle = `new-${Date.now().toString(36)}`;
  await page.getByLabel("Handle").fill(handle);
  await page.getByLabel("Name", { exact: true }).fill("Nora New");
  await page.getByLabel("Password", { exact: true }).fill(PASSWORD);
  await page.getByRole("button", { name: /^Create (an )?account$/ }).click();
  await page.getByRole("searchbox", { name: "Search" }).waitFor();
  await page.getByText(handle).first().waitFor();
  await clean(page, "an account without conversations");

  // The wrong password is refused with words.
  visitor.networkFails = true;
  const other = await Visitor.arrive(server);
  other.networkFails = true;
  const door = await other.tab("/login");
  await door.getByLabel("Handle").fill(handle);
  await door.getByLabel("Password", { exact: true }).fill("something else entirely");
  await door.getByRole("button", { name: "Log in", exact: true }).click();
  await door.getByRole("alert").getByText("The handle or the password is wrong.").waitFor();
  await logIn(door, Object.assign(Object.create(User.prototype) as User, { handle }));
});

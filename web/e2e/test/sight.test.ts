/**
 * For those who choose the colours themselves (`forced-colors`, as Windows' contrast themes) or make all larger: 200 %
 * of a small window is 320 px, and nothing may then be cut off, lie beside the screen, or be without a border.
 */
import { beforeAll, expect, inject, test } from "vitest";
import type { Page } from "playwright-core";
import { join } from "node:path";
import { mkdirSync } from "node:fs";
import { visit, Visitor } from "../src/browser.js";
import { entry, message, openChat } from "../src/chat.js";
import { RESULTS_DIR } from "../src/paths.js";
import { populate, type World } from "../src/world.js";

const server = inject("server");
let world: World;
beforeAll(async () => {
  world = await populate(server, "-sight");
});

/** For whoever wants to look. */
async function picture(page: Page, name: string): Promise<void> {
  if (process.env.NATTERJACK_SCREENSHOTS !== "1") return;
  mkdirSync(RESULTS_DIR, { recursive: true });
  await page.screenshot({ path: join(RESULTS_DIR, `${name}.png`), animations: "disabled" });
}

/** Main states of the page, one after the other. */
async function states(
  page: Page,
  door: Page,
  look: (page: Page, state: string) => Promise<void>,
): Promise<void> {
  await door.getByRole("heading", { name: "Create an account" }).waitFor();
  await look(door, "sign-up");
  await entry(page, "Pond restoration").waitFor();
  await look(page, "list");
  await openChat(page, "Pond restoration");
  await message(page, "🎉🐸").waitFor();
  await look(page, "thread");
  await message(page, "Thursday works for me").getByRole("button", { name: "Message actions" }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("menuitem", { name: "Reply" }).waitFor();
  await look(page, "menu");
  await page.keyboard.press("Escape");
  await page.keyboard.press("Control+k");
  await page.getByRole("dialog", { name: "Go to" }).getByRole("option").first().waitFor();
  await look(page, "switcher");
  await page.goto(`${server}/c/${world.pond}/details`);
  await page.getByRole("complementary", { name: "Details" }).getByText("Priya Nair").waitFor();
  await look(page, "details");
  await page.goto(`${server}/settings`);
  await page.getByRole("switch").first().waitFor();
  await look(page, "settings");
}

/** Buttons, fields and surfaces without an edge: nothing but a shadow or a colour of their own, which is not drawn. */
const borderless = (page: Page): Promise<string[]> =>
  page.evaluate(() => {
    const found: string[] = [];
    const asked =
      ".button, .icon-button, .input, .badge, [role=menu], dialog, [role=switch] > *, [role=menuitem]:focus, .bubble, .send, .newest, .pill span";
    for (const element of document.querySelectorAll<HTMLElement>(asked)) {
      if (!element.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
      const style = getComputedStyle(element);
      const drawn = (width: string, kind: string) => Number.parseFloat(width) > 0 && kind !== "none";
      const edge =
        drawn(style.borderTopWidth, style.borderTopStyle) || drawn(style.outlineWidth, style.outlineStyle);
      if (!edge)
        found.push(`${element.tagName}.${element.className} “${element.textContent.trim().slice(0, 20)}”`);
    }
    return found;
  });

/** What reaches beyond the screen to the side, or is cut off there without a way to scroll to it. */
const beyond = (page: Page): Promise<string[]> =>
  page.evaluate(() => {
    const found: string[] = [];
    if (document.scrollingElement!.scrollWidth > innerWidth) found.push("the page scrolls to the side");
    for (const element of document.querySelectorAll<HTMLElement>(
      "button, a, input, textarea, select, p, h1, h2, label",
    )) {
      if (!element.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
      if (element.closest(".visually-hidden")) continue;
      const { left, right, width } = element.getBoundingClientRect();
      if (width === 0 || (left >= -1 && right <= innerWidth + 1)) continue;
      found.push(
        `${element.tagName}.${element.className} “${element.textContent.trim().slice(0, 30)}” ${left}–${right}`,
      );
    }
    return found;
  });

test("with forced colours, everything that is pressed, typed into or lies above has an edge", async () => {
  const options = { forcedColors: "active", colorScheme: "dark" } as const;
  const door = await (await Visitor.arrive(server, options)).tab("/signup");
  const { page } = await visit(server, world.me, options);
  await states(page, door, async (on, state) => {
    await picture(on, `forced-${state}`);
    expect(await borderless(on), state).toEqual([]);
  });
});

test("at 320 px, as at 200 % of a small window, nothing lies beside the screen", async () => {
  const options = { viewport: { width: 320, height: 480 }, deviceScaleFactor: 2 };
  const door = await (await Visitor.arrive(server, options)).tab("/signup");
  const { page } = await visit(server, world.me, options);
  await states(page, door, async (on, state) => {
    await picture(on, `narrow-${state}`);
    expect(await beyond(on), state).toEqual([]);
  });
});

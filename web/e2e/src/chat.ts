/**
 * What a person does on the page, by the names that a person hears.
 *
 * @module
 */
import type { Locator, Page } from "playwright-core";
import { attribute } from "./browser.js";
import { until } from "./until.js";

/** The entry of a conversation in the list. */
export function entry(page: Page, title: string): Locator {
  const escaped = title.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const list = page.getByRole("navigation", { name: "Conversations" });
  return list.getByRole("link", { name: new RegExp(`^${escaped}`) });
}

/** Opens a conversation from the list, and waits until its messages are there. */
export async function openChat(page: Page, title: string): Promise<void> {
  await entry(page, title).click();
  await page.getByRole("main").getByRole("heading", { name: title }).waitFor();
  await feed(page).waitFor();
}

/** The thread. */
export function feed(page: Page): Locator {
  return page.getByRole("feed", { name: "Messages" });
}

/** The messages that have this text in them. */
export function message(page: Page, text: string | RegExp): Locator {
  return feed(page).getByRole("article").filter({ hasText: text });
}

/** Where one writes. */
export function composer(page: Page): Locator {
  return page.getByRole("textbox", { name: "Message" });
}

/** Writes and sends. */
export async function write(page: Page, text: string): Promise<void> {
  await composer(page).fill(text);
  await composer(page).press("Enter");
}

/** Waits for a status of one's own message. */
export async function status(
  page: Page,
  text: string | RegExp,
  wanted: "waiting" | "stored" | "delivered" | "read" | "failed" | RegExp,
): Promise<void> {
  await attribute(message(page, text).last(), "data-status", wanted);
}

/** Chooses from the menu of a message. */
export async function act(page: Page, text: string | RegExp, item: string): Promise<void> {
  const one = message(page, text).last();
  // The hint that comes some time after the first message of one's own may lie over it.
  const hint = page.getByRole("button", { name: "Not now" });
  await until("the menu is open", async () => {
    if (await hint.isVisible()) await hint.click();
    await one.hover();
    await one.getByRole("button", { name: "Message actions" }).click({ timeout: 1_000 });
    return page.getByRole("menuitem", { name: item }).isVisible();
  });
  await page.getByRole("menuitem", { name: item }).click();
}

/** A group of 100: created, filled, given roles, thinned out and left, on the page. */
import { beforeAll, expect, inject, test } from "vitest";
import type { Page } from "playwright-core";
import type { Member } from "natterjack-sdk";
import { count, visit } from "../src/browser.js";
import { composer, entry, feed, message, openChat, status, write } from "../src/chat.js";
import { until } from "../src/until.js";
import { User } from "../src/users.js";

const server = inject("server");
let [ann, bob] = [] as unknown as [User, User];
let others: User[] = [];

beforeAll(async () => {
  [ann, bob] = [await User.signUp(server, "Ann Lee"), await User.signUp(server, "Bob Ray")];
  for (let n = 0; n < 98; n += 14) {
    const some = Array.from({ length: 14 }, (_, i) =>
      User.signUp(server, `Member ${String(n + i + 1).padStart(2, "0")}`),
    );
    others.push(...(await Promise.all(some)));
  }
});

const details = (page: Page) => page.getByRole("complementary", { name: "Details" });

/** Chooses from the menu of a member. */
async function actOn(page: Page, name: string, item: string): Promise<void> {
  const line = details(page).getByRole("listitem").filter({ hasText: name });
  await line.getByRole("button", { name: /^Member actions/ }).click();
  await page.getByRole("menuitem", { name: item }).click();
}

/** Says yes to what is asked. */
async function confirm(page: Page, name: string | RegExp): Promise<void> {
  await page.getByRole("dialog").getByRole("button", { name }).click();
}

const membersOf = (group: string) => ann.call<Member[]>("GET", `/v1/conversations/${group}/members`);

test("a group is made, grows to 100, is managed, and left", async () => {
  const { visitor, page } = await visit(server, ann);
  // The browser itself tells the console of answers such as 409, "the group is full".
  visitor.networkFails = true;
  await page
    .getByRole("button", { name: "New group" })
    .or(page.getByRole("link", { name: "New group" }))
    .click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("textbox", { name: "Group name" }).fill("Pond keepers");
  await dialog
    .getByRole("searchbox", { name: /Find people|Search/ })
    .or(dialog.getByRole("combobox"))
    .first()
    .fill(bob.handle);
  await dialog.getByText("Bob Ray").first().click();
  await dialog.getByRole("button", { name: "Create group" }).click();
  await page.getByRole("main").getByRole("heading", { name: "Pond keepers" }).waitFor();
  const group = new URL(page.url()).pathname.split("/")[2]!;
  const id = group.replace("group.", "");

  // 97 more come while the group is open: the page follows.
  const users = others.slice(0, 97).map((user) => user.id);
  for (let n = 0; n < users.length; n += 25) {
    await ann.call("POST", `/v1/groups/${id}/members`, { users: users.slice(n, n + 25) });
  }
  await page.goto(`${server}/c/${group}/details`);
  await details(page)
    .getByText(/\b99\b/)
    .first()
    .waitFor();

  // The hundredth is added by hand.
  await details(page).getByRole("button", { name: "Add members" }).click();
  const picker = page.getByRole("dialog");
  await picker.getByRole("searchbox").or(picker.getByRole("combobox")).first().fill(others[97]!.handle);
  await picker.getByText("Member 98").first().click();
  await picker.getByRole("button", { name: /^Add/ }).last().click();
  await until("a hundred", async () => (await membersOf(group)).length === 100);
  await details(page)
    .getByText(/\b100\b/)
    .first()
    .waitFor();

  // And the hundred-and-first is refused with words.
  const more = await User.signUp(server, "One Too Many");
  await details(page).getByRole("button", { name: "Add members" }).click();
  await page
    .getByText(/at most 100 members/)
    .first()
    .waitFor();
  await picker.getByRole("searchbox").or(picker.getByRole("combobox")).first().fill(more.handle);
  await until("nobody can be chosen, or added", async () => {
    const found = picker.getByText("One Too Many");
    if ((await found.count()) > 0) await found.first().click({ timeout: 1_000 });
    return picker.getByRole("button", { name: /^Add/ }).last().isDisabled({ timeout: 1_000 });
  });
  await picker.getByRole("button", { name: "Cancel" }).click();
  expect((await membersOf(group)).length).toBe(100);

  // Roles, a removal and a new name.
  await details(page).getByLabel("Find a member").fill("Bob");
  await actOn(page, "Bob Ray", "Make admin");
  const role = async (user: User) => (await membersOf(group)).find((one) => one.user.id === user.id)?.role;
  await until("Bob is an admin", async () => (await role(bob)) === "admin");
  await details(page).getByLabel("Find a member").fill("Member 07");
  await actOn(page, "Member 07", "Remove from group");
  await confirm(page, /Remove/);
  await until("one less", async () => (await membersOf(group)).length === 99);
  await details(page).getByLabel("Find a member").fill("");
  await details(page).getByRole("button", { name: "Rename group" }).click();
  await page.getByRole("dialog").getByRole("textbox").fill("Pond keepers of the north");
  await page
    .getByRole("dialog")
    .getByRole("button", { name: /Save|Rename/ })
    .click();
  await page.getByRole("main").getByRole("heading", { name: "Pond keepers of the north" }).waitFor();
  await feed(page).getByText("named the group").first().waitFor();

  // The last owner cannot leave before somebody else is one.
  await details(page).getByRole("button", { name: "Leave group" }).click();
  await confirm(page, /Leave/);
  await page
    .getByText(/owner/i)
    .filter({ hasText: /another|other|first/i })
    .first()
    .waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  await details(page).getByLabel("Find a member").fill("Bob");
  await actOn(page, "Bob Ray", "Make owner");
  await until("Bob is an owner", async () => (await role(bob)) === "owner");
  await details(page).getByRole("button", { name: "Leave group" }).click();
  await confirm(page, /Leave/);
  await until("she has left", async () => {
    const members = await bob.call<Member[]>("GET", `/v1/conversations/${group}/members`);
    return !members.some((member) => member.user.id === ann.id);
  });
  await until("it is no longer in her list", async () => (await entry(page, "Pond keepers").count()) === 0);
});

test("the group's people see each other's words, and whoever is removed sees no more", async () => {
  const group = await bob.group("Rowing", [ann, others[0]!]);
  await bob.say(group, "Who rows on Sunday?");
  const [{ visitor, page: hers }, { page: his }] = await Promise.all([
    visit(server, ann),
    visit(server, bob),
  ]);
  // The browser itself tells the console of answers such as 403.
  visitor.networkFails = true;
  await openChat(hers, "Rowing");
  await openChat(his, "Rowing");
  await write(hers, "I do");
  await message(his, "I do").filter({ hasText: "Ann Lee" }).waitFor();
  // One of the two others has no device here: sent, and not delivered to all.
  await status(hers, "I do", "stored");
  const id = group.replace("group.", "");
  await bob.call("DELETE", `/v1/groups/${id}/members/${ann.id}`);
  await message(his, "removed Ann Lee").or(feed(his).getByText("removed Ann Lee")).first().waitFor();
  await bob.say(group, "without her");
  // No composer, or one that takes nothing: asked in one step, since it may go between two.
  await count(composer(hers).and(hers.locator(":enabled")), 0);
  await count(message(hers, "without her"), 0);
});

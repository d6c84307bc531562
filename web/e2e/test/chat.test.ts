/** Two people who talk: what one does is seen by the other. */
import { beforeEach, expect, inject, test } from "vitest";
import type { Page } from "playwright-core";
import { attribute, count, visit } from "../src/browser.js";
import { act, composer, entry, feed, message, openChat, status, write } from "../src/chat.js";
import { until } from "../src/until.js";
import { User } from "../src/users.js";

const server = inject("server");
let [ann, bob] = [] as unknown as [User, User];

beforeEach(async () => {
  [ann, bob] = await Promise.all([User.signUp(server, "Ann Lee"), User.signUp(server, "Bob Ray")]);
});

/** Both at their screens, with a chat that has begun. */
async function both(): Promise<{ hers: Page; his: Page }> {
  await bob.say(ann.dm(bob), "Hello, Ann");
  const [{ page: hers }, { page: his }] = await Promise.all([visit(server, ann), visit(server, bob)]);
  return { hers, his };
}

test("few messages stand beside the composer, and a hint takes room of its own", async () => {
  const { hers } = await both();
  await openChat(hers, "Bob Ray");
  await write(hers, "Hello, Bob");
  await status(hers, "Hello, Bob", /stored|delivered/);
  const distance = async () => {
    const [last, field] = await Promise.all([
      message(hers, "Hello, Bob").boundingBox(),
      composer(hers).boundingBox(),
    ]);
    return field!.y - last!.y - last!.height;
  };
  expect(await distance()).toBeLessThan(60);
  const hint = hers.getByRole("status").filter({ hasText: "Hear of new messages" });
  await hint.waitFor();
  const header = await hers.getByRole("main").boundingBox();
  const bar = await hint.boundingBox();
  expect(bar!.y + bar!.height).toBeLessThanOrEqual(header!.y);
  expect(await distance()).toBeLessThan(60);
});

test("a message goes from written to sent, delivered and read", async () => {
  const { hers, his } = await both();
  await openChat(hers, "Bob Ray");
  await message(hers, "Hello, Ann").waitFor();
  await write(hers, "Hello, Bob");
  // He is there, on the list: delivered, and not read.
  await status(hers, "Hello, Bob", "delivered");
  await entry(his, "Ann Lee").filter({ hasText: "1 unread" }).waitFor();
  expect(await message(hers, "Hello, Bob").getByText("Delivered").count()).toBeGreaterThan(0);

  await openChat(his, "Ann Lee");
  await message(his, "Hello, Bob").waitFor();
  await status(hers, "Hello, Bob", "read");
  await count(entry(his, "Ann Lee").filter({ hasText: "unread" }), 0);

  // Live, with the thread open on both sides.
  await write(his, "How are you?");
  await message(hers, "How are you?").waitFor();
  await status(his, "How are you?", "read");
  // What comes in is announced apart from the thread.
  await hers.getByTestId("announcer").filter({ hasText: "How are you?" }).waitFor({ state: "attached" });
});

test("one sees who is there and who is writing", async () => {
  const { hers, his } = await both();
  await openChat(his, "Ann Lee");
  await entry(hers, "Bob Ray").filter({ hasText: "online" }).waitFor();
  await composer(his).pressSequentially("I am about to");
  await entry(hers, "Bob Ray").filter({ hasText: "typing" }).waitFor();
  await openChat(hers, "Bob Ray");
  await hers
    .getByRole("main")
    .getByText(/typing/)
    .first()
    .waitFor();
  await composer(his).fill("");
  await until("the writing ends", async () => (await hers.getByText(/typing/).count()) === 0);
  await his.context().close();
  await until(
    "he is gone",
    async () => (await entry(hers, "Bob Ray").filter({ hasText: "online" }).count()) === 0,
  );
});

test("replies, edits and deletions are seen by both, and by who comes later", async () => {
  const { hers, his } = await both();
  await openChat(hers, "Bob Ray");
  await openChat(his, "Ann Lee");

  await act(his, "Hello, Ann", "Reply");
  await write(his, "I forgot to ask");
  await message(hers, "I forgot to ask").filter({ hasText: "Hello, Ann" }).waitFor();

  await act(his, /^(?!.*forgot).*Hello, Ann/, "Edit");
  await until(
    "the text is there to be edited",
    async () => (await composer(his).inputValue()) === "Hello, Ann",
  );
  await write(his, "Good morning, Ann");
  await message(hers, "Good morning, Ann").filter({ hasText: "edited" }).first().waitFor();
  await message(hers, "I forgot to ask").filter({ hasText: "Good morning, Ann" }).waitFor();

  await status(his, "I forgot to ask", /delivered|read/);
  // The arrow up edits one's last message; Escape leaves it as it was.
  await composer(his).press("ArrowUp");
  await until("the last one is there", async () => (await composer(his).inputValue()) === "I forgot to ask");
  await composer(his).press("Escape");
  expect(await composer(his).inputValue()).toBe("");

  await act(his, "I forgot to ask", "Delete");
  await his.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await feed(hers).getByText("Message deleted").waitFor();
  await feed(his).getByText("Message deleted").waitFor();
  await count(message(hers, "I forgot to ask"), 0);

  await hers.reload();
  await feed(hers).getByText("Message deleted").waitFor();
  await message(hers, "Good morning, Ann").first().waitFor();
  await count(message(hers, "I forgot to ask"), 0);
});

test("what was missed stands after a divider, which stays while one reads", async () => {
  const dm = ann.dm(bob);
  const { page: hers } = await visit(server, ann);
  const first = await bob.say(dm, "read before");
  await openChat(hers, "Bob Ray");
  await message(hers, "read before").waitFor();
  await until("it is read", async () => (await ann.summary(dm)).cursor.read === first);
  await hers.goto(`${server}/settings`);
  for (let n = 1; n <= 3; n++) await bob.say(dm, `missed ${n}`);
  await hers.goto(`${server}/`);
  await entry(hers, "Bob Ray").filter({ hasText: "3 unread" }).filter({ hasText: "missed 3" }).waitFor();
  await openChat(hers, "Bob Ray");
  const divider = feed(hers).locator("[data-divider]");
  await divider.waitFor();
  expect(await divider.textContent()).toContain("New messages");
  await message(hers, "missed 1").locator("[data-divider]").waitFor();
  await count(divider, 1);
  await until("they are read", async () => (await ann.summary(dm)).unread === 0);
  expect(await divider.isVisible()).toBe(true);
});

test("nothing that people write is taken for anything but text", async () => {
  const evil = [
    `<img src=x onerror="window.pwned=1">`,
    `<script>window.pwned=1</script>`,
    `<svg/onload=window.pwned=1>`,
    `javascript:window.pwned=1`,
    `https://example.com/"onmouseover="window.pwned=1`,
    `{@html "<b>x</b>"} \${window.pwned=1}`,
  ];
  const eve = await User.signUp(server, `<b onclick=1>Eve</b>`);
  await eve.group(`<i>Group</i> &amp; <script>window.pwned=1</script>`, [ann]);
  for (const text of evil) await eve.say(ann.dm(eve), text);
  const { page } = await visit(server, ann);
  await entry(page, "<i>Group</i> &amp; <script>").waitFor();
  await openChat(page, "<b onclick=1>Eve</b>");
  for (const text of evil) await message(page, text).first().waitFor();
  await feed(page).hover();
  const found = await page.evaluate(() => ({
    pwned: "pwned" in window,
    elements: document.querySelectorAll("article img, article script, article svg[onload], b[onclick]")
      .length,
    links: [...document.querySelectorAll<HTMLAnchorElement>("article a")].map((link) => link.protocol),
  }));
  expect(found.pwned).toBe(false);
  expect(found.elements).toBe(0);
  expect(found.links.every((protocol) => protocol === "https:")).toBe(true);
});

test("a text of 100,000 characters is collapsed, opens, and costs little", async () => {
  const long = Array.from({ length: 10_000 }, (_, n) => `word${String(n).padStart(5, "0")}`)
    .join(" ")
    .slice(0, 99_999);
  await bob.say(ann.dm(bob), long);
  await bob.say(ann.dm(bob), "after it");
  const { page } = await visit(server, ann);
  await openChat(page, "Bob Ray");
  const one = message(page, "word00000").first();
  await one.getByRole("button", { name: "Show all" }).waitFor();
  const collapsed = await one.evaluate((element) => element.textContent.length);
  expect(collapsed).toBeLessThan(10_000);
  await one.getByRole("button", { name: "Show all" }).click();
  await until(
    "all of it",
    async () => (await one.evaluate((element) => element.textContent.length)) >= 99_999,
  );
  await one.getByRole("button", { name: "Show less" }).click();
  await until(
    "less of it",
    async () => (await one.evaluate((element) => element.textContent.length)) === collapsed,
  );
});

test("a message of 100,000 characters can be sent, and one that is longer is refused with words", async () => {
  await bob.say(ann.dm(bob), "write me a book");
  const { page } = await visit(server, ann);
  await openChat(page, "Bob Ray");
  await write(page, "b".repeat(100_000));
  await until("it is stored", async () => {
    const last = (await bob.history(ann.dm(bob))).at(-1);
    return last?.kind === "text" && last.text?.length === 100_000;
  });
  await composer(page).fill("b".repeat(100_001));
  await page.getByText("1 character too long: shorten it to send it").first().waitFor();
  expect(await page.getByRole("button", { name: "Send" }).isDisabled()).toBe(true);
  await composer(page).press("Enter");
  expect((await composer(page).inputValue()).length).toBe(100_001);
  await composer(page).fill("");
});

test("Enter does not send while a word is being composed", async () => {
  await bob.say(ann.dm(bob), "こんにちは");
  const { page } = await visit(server, ann);
  await openChat(page, "Bob Ray");
  await composer(page).focus();
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("Input.imeSetComposition", { text: "にほん", selectionStart: 3, selectionEnd: 3 });
  // What browsers tell a page when Enter chooses a candidate: a key that belongs to the input method.
  await cdp.send("Input.dispatchKeyEvent", {
    type: "rawKeyDown",
    windowsVirtualKeyCode: 229,
    key: "Process",
    code: "Enter",
  });
  await cdp.send("Input.insertText", { text: "日本" });
  await until("it is composed", async () => (await composer(page).inputValue()) === "日本");
  expect(await feed(page).getByRole("article").count()).toBe(1);
  await composer(page).press("Enter");
  await status(page, "日本", /stored|delivered/);
});

test("a message that was refused says so, and can be tried again or discarded", async () => {
  const group = await bob.group("The pond", [ann]);
  await bob.say(group, "welcome");
  const { visitor, page } = await visit(server, ann);
  visitor.networkFails = true;
  await openChat(page, "The pond");
  await message(page, "welcome").waitFor();
  // Removed while she is offline and writes: the server refuses it for good.
  await visitor.context.setOffline(true);
  await write(page, "first");
  await write(page, "second");
  await status(page, "first", "waiting");
  const id = group.replace("group.", "");
  await bob.call("DELETE", `/v1/groups/${id}/members/${ann.id}`);
  await bob.call("POST", `/v1/groups/${id}/members`, { users: [ann.id] });
  await bob.call("DELETE", `/v1/groups/${id}/members/${ann.id}`);
  await visitor.context.setOffline(false);
  await status(page, "first", "failed");
  await message(page, "first").getByText("Not sent").first().waitFor();
  await bob.call("POST", `/v1/groups/${id}/members`, { users: [ann.id] });
  await message(page, "first").getByRole("button", { name: "Try again" }).click();
  await until("it is stored now", async () => {
    const all = await bob.history(group);
    return all.filter((one) => one.kind === "text" && one.text === "first").length === 1;
  });
  await status(page, "second", "failed");
  await message(page, "second").getByRole("button", { name: "Discard" }).click();
  await count(message(page, "second"), 0);
  await attribute(message(page, "first").first(), "data-status", /stored|delivered|read/);
});

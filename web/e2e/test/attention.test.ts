/** What one has in view and what one has begun: neither is taken from one by going elsewhere for a moment. */
import { beforeEach, expect, inject, test } from "vitest";
import { count, visit } from "../src/browser.js";
import { act, composer, entry, message, openChat, status, write } from "../src/chat.js";
import { until } from "../src/until.js";
import { User } from "../src/users.js";

const server = inject("server");
const PHONE = { viewport: { width: 390, height: 800 }, hasTouch: true, isMobile: true };
let [ann, bob, cleo] = [] as unknown as [User, User, User];

beforeEach(async () => {
  [ann, bob, cleo] = await Promise.all([
    User.signUp(server, "Ann Lee"),
    User.signUp(server, "Bob Ray"),
    User.signUp(server, "Cleo Orr"),
  ]);
  await bob.say(ann.dm(bob), "Hello, Ann");
  await cleo.say(ann.dm(cleo), "Good morning");
});

test("on a phone the details cover the messages: what comes in there is not read until one is back", async () => {
  const { page } = await visit(server, ann, PHONE);
  await openChat(page, "Bob Ray");
  const unread = async () => (await ann.summary(ann.dm(bob))).unread;
  await until("the first is read", async () => (await unread()) === 0);
  await page.locator("main header a.who").click();
  await page.getByRole("complementary", { name: "Details" }).getByText("Bob Ray").waitFor();
  for (let said = 1; said <= 4; said++) {
    await bob.say(ann.dm(bob), `Are you there? ${said}`);
    // One is from the other chat.
    await until(`${said} unread`, async () => (await page.title()).startsWith(`(${said + 1})`));
    expect(await unread()).toBe(said);
  }
  await page.getByRole("complementary", { name: "Details" }).getByRole("button", { name: "Back" }).click();
  await message(page, "Are you there? 4").waitFor();
  await until("they are read", async () => (await unread()) === 0);
});

test("an edit and a reply that were begun go on after a look into another conversation", async () => {
  const { page } = await visit(server, ann);
  await openChat(page, "Bob Ray");
  await write(page, "Helo, Bob");
  await status(page, "Helo, Bob", /stored|delivered/);
  await composer(page).fill("And one more");
  await act(page, "Helo, Bob", "Edit");
  await composer(page).fill("Hello, dear");
  await openChat(page, "Cleo Orr");
  await act(page, "Good morning", "Reply");
  await composer(page).fill("Morning!");

  await openChat(page, "Bob Ray");
  await until("the edit is back", async () => (await composer(page).inputValue()) === "Hello, dear");
  // A key in the middle of the text leaves the cursor there.
  await composer(page).press("Home");
  await composer(page).pressSequentially("So: ");
  await composer(page).press("Enter");
  await message(page, "So: Hello, dear").waitFor();
  await count(message(page, "Helo, Bob"), 0);
  await until("the draft is back", async () => (await composer(page).inputValue()) === "And one more");

  await openChat(page, "Cleo Orr");
  await page.getByText("Reply to Cleo Orr").waitFor();
  await composer(page).press("Enter");
  await until("it is a reply", async () =>
    (await ann.history(ann.dm(cleo))).some((one) => "reply_to" in one && one.reply_to !== undefined),
  );
});

test("what was copied is said for a moment", async () => {
  const { page } = await visit(server, ann);
  await openChat(page, "Bob Ray");
  await act(page, "Hello, Ann", "Copy");
  const notice = page.getByRole("status").filter({ hasText: /copied|did not allow/i });
  await notice.waitFor();
  await count(notice, 0);
});

test("a group beyond the loaded part of the list has its name and one's rights, asked for once", async () => {
  const old = await ann.group("Old pond", [bob]);
  // The server names a hundred conversations at the start.
  for (let made = 0; made < 110; made += 10) {
    await Promise.all(Array.from({ length: 10 }, (_, index) => ann.group(`Group ${made + index}`, [])));
  }
  const { page } = await visit(server, ann);
  let asked = 0;
  page.on("request", (request) => {
    if (new URL(request.url()).pathname === `/v1/conversations/${old}`) asked++;
  });
  await page.goto(`${server}/c/${old}/details`);
  const details = page.getByRole("complementary", { name: "Details" });
  await details.getByText("Old pond").first().waitFor();
  await details.getByRole("button", { name: "Leave group" }).waitFor();
  await details.getByRole("button", { name: "Rename group" }).waitFor();
  const before = asked;
  await bob.say(ann.dm(bob), "Did you see it?");
  await entry(page, "Bob Ray").filter({ hasText: "Did you see it?" }).waitFor();
  expect(before).toBeGreaterThan(0);
  expect(asked).toBe(before);
});

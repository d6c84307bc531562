/** Several tabs of one person: one connection, one truth. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { count, visit } from "../src/browser.js";
import { entry, message, openChat, status, write } from "../src/chat.js";
import { Stack } from "../src/stack.js";
import { until } from "../src/until.js";
import { User } from "../src/users.js";

let stack: Stack;
beforeAll(async () => {
  stack = await Stack.start();
});
afterAll(() => stack.stop());

/** WebSockets that are open at the edge now. */
const sockets = () => stack.metric("natterjack_sockets");

test("two tabs share one socket, and the other one goes on when the one that held it is closed", async () => {
  const [ann, bob] = [await User.signUp(stack.url, "Ann"), await User.signUp(stack.url, "Bob")];
  const dm = ann.dm(bob);
  await bob.say(dm, "one");
  await bob.say(dm, "two");
  const { visitor, page: first } = await visit(stack.url, ann);
  await entry(first, "Bob").filter({ hasText: "2 unread" }).waitFor();
  const second = await visitor.tab("/");
  await entry(second, "Bob").filter({ hasText: "2 unread" }).waitFor();
  const third = await visitor.tab("/");
  await entry(third, "Bob").filter({ hasText: "2 unread" }).waitFor();
  expect(await sockets()).toBe(1);

  // What one tab does, the others show.
  await openChat(second, "Bob");
  await message(second, "two").waitFor();
  await count(entry(first, "Bob").filter({ hasText: "unread" }), 0);
  await write(second, "from the second tab");
  await status(second, "from the second tab", "stored");
  await openChat(first, "Bob");
  await message(first, "from the second tab").waitFor();
  expect(await message(first, "from the second tab").count()).toBe(1);

  // The first tab held the connection: another one takes over, and nothing is missed.
  await first.close();
  await bob.say(dm, "while it changes hands");
  await message(second, "while it changes hands").waitFor();
  await write(second, "still here");
  await status(second, "still here", "stored");
  await until("one socket again", async () => (await sockets()) === 1);
  const history = await bob.history(dm);
  expect(history.map((one) => (one.kind === "text" ? one.text : one.kind))).toEqual([
    "one",
    "two",
    "from the second tab",
    "while it changes hands",
    "still here",
  ]);
});

test("who logs out in one tab is logged out in all", async () => {
  const ann = await User.signUp(stack.url, "Ann");
  const { visitor, page } = await visit(stack.url, ann);
  const other = await visitor.tab("/");
  await other.getByRole("searchbox", { name: "Search" }).waitFor();
  await page.goto(`${stack.url}/settings`);
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Log out" }).click();
  await page.getByRole("heading", { name: "Log in" }).waitFor();
  await other.getByRole("heading", { name: "Log in" }).waitFor();
  await until("nothing of hers is left on this device", async () =>
    page.evaluate(async (id) => {
      const all = await indexedDB.databases();
      return !all.some((one) => one.name?.includes(id));
    }, ann.id),
  );
});

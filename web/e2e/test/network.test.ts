/** Networks and edges that fail: nothing is lost, nothing comes twice, and a person is told what is the matter. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Page } from "playwright-core";
import { count, visit } from "../src/browser.js";
import { composer, feed, message, openChat, status, write } from "../src/chat.js";
import { type Edge, Stack } from "../src/stack.js";
import { until } from "../src/until.js";
import { User } from "../src/users.js";

let stack: Stack;
beforeAll(async () => {
  // A ping each second: a frozen network is noticed after one and a half.
  stack = await Stack.start({ env: { EDGE_PING_INTERVAL_MS: "1000" } });
});
afterAll(() => stack.stop());

const banner = (page: Page) => page.getByTestId("connection").getByRole("button", { name: "Try now" });

/** Ann at her screen with Bob's chat open. */
async function ann_reads(server = stack.url) {
  const [ann, bob] = [await User.signUp(stack.url, "Ann"), await User.signUp(stack.url, "Bob")];
  const dm = ann.dm(bob);
  await bob.say(dm, "before");
  const { visitor, page } = await visit(server, ann);
  visitor.networkFails = true;
  await openChat(page, "Bob");
  await message(page, "before").waitFor();
  return { ann, bob, dm, visitor, page };
}

/** All texts, in order and each once: at the server, and on the page. */
async function told(page: Page, bob: User, dm: string, texts: string[]): Promise<void> {
  await until("all is there", async () => (await feed(page).getByRole("article").count()) === texts.length);
  const history = await bob.history(dm);
  expect(history.map((one) => (one.kind === "text" ? one.text : one.kind))).toEqual(texts);
  const shown = await feed(page).getByRole("article").allInnerTexts();
  shown.forEach((text, n) => expect(text).toContain(texts[n]));
}

test("offline, what is written waits; back again, it is sent once and what was missed is there", async () => {
  const { bob, dm, visitor, page } = await ann_reads();
  await visitor.context.setOffline(true);
  await write(page, "written offline");
  await status(page, "written offline", "waiting");
  await banner(page).waitFor();
  await bob.say(dm, "said meanwhile");
  await visitor.context.setOffline(false);
  await status(page, "written offline", "stored");
  await message(page, "said meanwhile").waitFor();
  await count(banner(page), 0);
  await told(page, bob, dm, ["before", "said meanwhile", "written offline"]);
});

test("offline over a reload: the page opens, shows what it has, and sends what waited", async () => {
  const { bob, dm, visitor, page } = await ann_reads();
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
  await visitor.context.setOffline(true);
  await write(page, "written first");
  await status(page, "written first", "waiting");
  await page.reload();
  await message(page, "before").waitFor();
  await status(page, "written first", "waiting");
  await write(page, "written after it");
  await status(page, "written after it", "waiting");
  await visitor.context.setOffline(false);
  await status(page, "written after it", "stored");
  await told(page, bob, dm, ["before", "written first", "written after it"]);
});

test("a network that only freezes is noticed, said after two seconds, and left for a new connection", async () => {
  const { bob, dm, page } = await ann_reads();
  const before = stack.link.connections;
  stack.link.set("still");
  await write(page, "into the void");
  await banner(page).waitFor();
  await status(page, "into the void", "waiting");
  stack.link.set("fair");
  await bob.say(dm, "back");
  await status(page, "into the void", "stored");
  await message(page, "back").waitFor();
  await count(banner(page), 0);
  expect(stack.link.connections).toBeGreaterThan(before);
  expect(
    (await bob.history(dm)).filter((one) => one.kind === "text" && one.text === "into the void"),
  ).toHaveLength(1);
});

test("a short loss is nobody's concern", async () => {
  const { page } = await ann_reads();
  const seen = page.evaluate(async () => {
    const banner = document.querySelector('[data-testid="connection"]')!;
    let shown = false;
    new MutationObserver(() => (shown ||= banner.textContent.trim() !== "")).observe(banner, {
      childList: true,
      subtree: true,
    });
    await new Promise((resolve) => addEventListener("returned", resolve, { once: true }));
    return shown;
  });
  const connections = stack.link.connections;
  stack.link.set("cut");
  stack.link.set("fair");
  await until("it has a connection again", () => stack.link.connections > connections);
  await write(page, "as if nothing had been");
  await status(page, "as if nothing had been", "stored");
  await page.evaluate(() => dispatchEvent(new Event("returned")));
  expect(await seen).toBe(false);
});

/** An edge that the page is on: the first one cannot be reached while it connects. */
async function on(edge: Edge) {
  stack.link.set("cut");
  const setup = User.signUp(edge.url, "Ann");
  const [ann, bob] = [await setup, await User.signUp(edge.url, "Bob")];
  const { visitor, page } = await visit(edge.url, ann);
  visitor.networkFails = true;
  const dm = ann.dm(bob);
  await bob.say(dm, "before");
  await openChat(page, "Bob");
  await message(page, "before").waitFor();
  stack.link.set("fair");
  return { ann, bob, dm, page };
}

test("an edge is killed while one writes: another one has it all, each once and in order", async () => {
  const edge = await stack.edge();
  const { bob, dm, page } = await on(edge);
  const cleo = await User.signUp(stack.url, "Cleo");
  const texts = ["before"];
  for (let n = 0; n < 12; n++) {
    if (n === 5) await edge.kill();
    texts.push(`number ${n}`);
    await write(page, `number ${n}`);
  }
  await status(page, "number 11", "stored");
  const reader = Object.assign(Object.create(Object.getPrototypeOf(bob)) as User, bob, { server: stack.url });
  await told(page, reader, dm, texts);
  await reader.say(dm, "over the other edge");
  await message(page, "over the other edge").waitFor();
  // What is asked by HTTP finds it too, and what is asked once is done once.
  await page.getByRole("button", { name: "New group" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("textbox", { name: "Group name" }).fill("Survivors");
  await dialog.getByRole("searchbox").fill(cleo.handle);
  await dialog.getByText("Cleo").first().click();
  await dialog.getByRole("button", { name: "Create group" }).click();
  await page.getByRole("main").getByRole("heading", { name: "Survivors" }).waitFor();
});

test("an edge that drains is left for another one without a word", async () => {
  const edge = await stack.edge();
  const { bob, dm, page } = await on(edge);
  await until("the draining edge knows another one", async () => {
    const edges = await bob.call<{ url: string }[]>("GET", "/v1/edges");
    return edges.some((one) => one.url === stack.url);
  });
  const drained = edge.drain();
  await write(page, "while it drains");
  await status(page, "while it drains", "stored");
  await drained;
  await write(page, "after it");
  await status(page, "after it", "stored");
  const reader = Object.assign(Object.create(Object.getPrototypeOf(bob)) as User, bob, { server: stack.url });
  await told(page, reader, dm, ["before", "while it drains", "after it"]);
  expect(await banner(page).count()).toBe(0);
});

test("after a long absence the end is there at once, and what lies between is fetched while one scrolls", async () => {
  const { bob, dm, visitor, page } = await ann_reads();
  await visitor.context.setOffline(true);
  await banner(page).waitFor();
  const socket = await bob.socket();
  await socket.fill(
    dm,
    Array.from({ length: 1_200 }, (_, n) => `missed ${n}`),
  );
  socket.close();
  await visitor.context.setOffline(false);
  await count(banner(page), 0);
  await page.reload();
  await composer(page).waitFor();
  await page
    .getByRole("button", { name: "Jump to newest" })
    .click({ timeout: 3_000 })
    .catch(() => undefined);
  await message(page, "missed 1199").waitFor();
  // The oldest is reached without a hole on the way.
  await until("the first one is reached", async () => {
    await feed(page).getByRole("article").first().scrollIntoViewIfNeeded();
    return (await message(page, "before").count()) === 1;
  });
  await until("the order is whole", async () => {
    const shown = await feed(page).getByRole("article").allInnerTexts();
    const numbers = shown.map((text) => Number(/missed (\d+)/.exec(text)?.[1] ?? -1));
    return numbers.every((number, n) => number === numbers[0]! + n);
  });
});

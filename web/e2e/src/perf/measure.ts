/**
 * What is promised of the page's speed, measured on the real page and server.
 *
 * @module
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Page } from "playwright-core";
import { browser } from "../browser.js";
import { PAGE_DIR } from "../paths.js";
import { User } from "../users.js";
import { trace, type Trace } from "./trace.js";

/** Bytes of script, gzipped, that are loaded before anything is shown. */
export function startBytes(): number {
  const html = readFileSync(join(PAGE_DIR, "index.html"), "utf8");
  const found = new Set([...html.matchAll(/(?:src|href)="\/([^"]+\.js)"/g)].map((match) => match[1]!));
  // What those import statically comes with them.
  for (const file of found) {
    const source = readFileSync(join(PAGE_DIR, file), "utf8");
    for (const [, name] of source.matchAll(
      /(?:^|[;}\s])(?:import|export)\s*(?:[^"'();]*?from\s*)?["']\.\/([^"']+\.js)["']/g,
    )) {
      found.add(`assets/${name!}`);
    }
  }
  return [...found].reduce(
    (sum, file) => sum + gzipSync(readFileSync(join(PAGE_DIR, file)), { level: 9 }).length,
    0,
  );
}

/** All script that the page can ever load, gzipped. */
export function allBytes(): number {
  const files = readdirSync(join(PAGE_DIR, "assets")).filter((file) => file.endsWith(".js"));
  return files.reduce((sum, file) => sum + gzipSync(readFileSync(join(PAGE_DIR, "assets", file))).length, 0);
}

/** Slows the page's processor down. */
export async function throttle(page: Page, rate: number): Promise<void> {
  const session = await page.context().newCDPSession(page);
  await session.send("Emulation.setCPUThrottlingRate", { rate });
}

/** From the start of the navigation until the first message of a conversation is painted, in milliseconds. */
export async function firstConversation(page: Page, server: string, path: string): Promise<number> {
  await page.goto(server + path, { waitUntil: "commit" });
  return page.evaluate(
    () =>
      new Promise<number>((resolve) => {
        const look = () => {
          const rows = document.querySelectorAll('[role="feed"] [data-key]');
          if (rows.length === 0) requestAnimationFrame(look);
          // The frame in which it is there has been painted once the next one begins.
          else requestAnimationFrame(() => resolve(performance.now()));
        };
        look();
      }),
  );
}

/** As on a device that was never here, but for who is signed in: nothing is cached, nothing stored. */
export async function forget(page: Page, user: User): Promise<void> {
  // An address of the same origin that is not the page: it holds no connection and no database open.
  await page.goto(`${user.server}/healthz`);
  const session = await page.context().newCDPSession(page);
  await session.send("Network.clearBrowserCache");
  await session.send("Storage.clearDataForOrigin", {
    origin: user.server,
    storageTypes: "service_workers,cache_storage",
  });
  await page.evaluate(async (id) => {
    const all = await indexedDB.databases();
    for (const { name } of all) {
      if (name?.includes(id)) await new Promise((done) => (indexedDB.deleteDatabase(name).onsuccess = done));
    }
  }, user.id);
  await session.detach();
  await page.goto("about:blank");
}

/** Records the page while a stranger writes so many messages a second into the conversation that is open. */
export async function flood(
  page: Page,
  writer: User,
  conversation: string,
  { perSecond, seconds }: { perSecond: number; seconds: number },
): Promise<Trace> {
  const socket = await writer.socket();
  const recorded = await trace(await browser(), page, async () => {
    const begun = performance.now();
    const sent: Promise<number>[] = [];
    for (let n = 0; n < perSecond * seconds; n++) {
      const due = begun + (n / perSecond) * 1_000;
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now())));
      sent.push(socket.say(conversation, `flood ${n}: ${"some words of a message ".repeat(n % 4)}`));
    }
    await Promise.all(sent);
    await page
      .getByRole("article")
      .filter({ hasText: `flood ${perSecond * seconds - 1}:` })
      .waitFor();
  });
  socket.close();
  return recorded;
}

/** Two people with a conversation of a few screens. */
export async function pair(server: string): Promise<{ ann: User; bob: User; dm: string }> {
  const [ann, bob] = [await User.signUp(server, "Ann"), await User.signUp(server, "Bob")];
  const dm = ann.dm(bob);
  const socket = await bob.socket();
  const texts = Array.from({ length: 300 }, (_, n) => `message ${n} ${"and some more words ".repeat(n % 9)}`);
  const seqs = await socket.fill(dm, texts);
  socket.close();
  await ann.read(dm, seqs.at(-1)!);
  return { ann, bob, dm };
}

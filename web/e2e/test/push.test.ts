/** Pushes in the service worker, and the page without a network. */
import { afterEach, beforeEach, expect, inject, test } from "vitest";
import type { BrowserContext, CDPSession, Page } from "playwright-core";
import type { Notice } from "natterjack-sdk";
import { visit, type Visitor } from "../src/browser.js";
import { composer, entry, message, openChat } from "../src/chat.js";
import { until } from "../src/until.js";
import { User } from "../src/users.js";

const server = inject("server");
let [ann, bob] = [] as unknown as [User, User];
let visitor: Visitor;
let page: Page;
let context: BrowserContext;
let worker: Worker;

/** The service worker, seen through the browser's developer tools. */
class Worker {
  private constructor(
    private readonly session: CDPSession,
    private readonly registration: string,
  ) {}

  static async of(page: Page): Promise<Worker> {
    const session = await page.context().newCDPSession(page);
    const active = new Promise<string>((resolve) => {
      session.on("ServiceWorker.workerVersionUpdated", ({ versions }) => {
        const found = versions.find((one) => one.status === "activated" && one.scriptURL.startsWith(server));
        if (found) resolve(found.registrationId);
      });
    });
    await session.send("ServiceWorker.enable");
    return new Worker(session, await active);
  }

  push(notice: Notice | string): Promise<unknown> {
    const data = typeof notice === "string" ? notice : JSON.stringify(notice);
    return this.session.send("ServiceWorker.deliverPushMessage", {
      origin: server,
      registrationId: this.registration,
      data,
    });
  }
}

beforeEach(async () => {
  [ann, bob] = [await User.signUp(server, "Ann"), await User.signUp(server, "Bob")];
  await bob.say(ann.dm(bob), "hello");
  ({ visitor, page } = await visit(server, ann));
  context = page.context();
  await context.grantPermissions(["notifications"], { origin: server });
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
  worker = await Worker.of(page);
});
afterEach(() => context.clearPermissions().catch(() => undefined));

/** What is shown, by tag. */
const shown = () =>
  page.evaluate(async () => {
    const registration = await navigator.serviceWorker.ready;
    const all = await registration.getNotifications();
    return all.map(({ tag, title, body }) => ({ tag, title, body }));
  });

/** Waits until so many are shown, or says what the browser allows. */
async function showing(number: number): Promise<void> {
  await until(`${number} shown`, async () => (await shown()).length === number).catch(
    async (error: unknown) => {
      const [permission, all] = [await page.evaluate(() => Notification.permission), await shown()];
      throw new Error(`shown: ${JSON.stringify(all)}, and not ${number}; permission: ${permission}`, {
        cause: error,
      });
    },
  );
}

function notice(seq: number, body?: string): Notice {
  const conversation = ann.dm(bob);
  const base = {
    type: "message",
    conversation,
    seq,
    id: "0193",
    sent_at: Date.now(),
    title: "Bob",
    badge: 1,
  } as const;
  return body === undefined ? base : { ...base, body };
}

test("a push is shown under its conversation, a later one takes its place, and an older one does not", async () => {
  const tag = ann.dm(bob);
  // Nobody looks at the conversation.
  await page.goto("about:blank");
  await page.goto(`${server}/settings`);
  await worker.push(notice(1_000, "Shall we meet at eight?"));
  await showing(1);
  expect(await shown()).toEqual([{ tag, title: "Bob", body: "Shall we meet at eight?" }]);
  await worker.push(notice(1_001));
  await until("the later one", async () => (await shown()).some((one) => !one.body.includes("eight")));
  const later = await shown();
  expect(later).toHaveLength(1);
  expect(later[0]!.body).not.toBe("");
  await worker.push(notice(999, "an old one"));
  await worker.push({ ...notice(5, "elsewhere"), conversation: "group.x", title: "Pond" } as Notice);
  await showing(2);
  expect((await shown()).find((one) => one.tag === tag)).toEqual(later[0]);
  // Words that it does not understand do no harm.
  await worker.push("{{{");
});

test("a notification goes away when its conversation is read", async () => {
  await page.goto(`${server}/settings`);
  const seq = (await ann.summary(ann.dm(bob))).head;
  await worker.push(notice(seq, "hello"));
  await showing(1);
  await page.goto(`${server}/c/${ann.dm(bob)}`);
  await message(page, "hello").waitFor();
  await showing(0);
});

test("a click on a notification opens the conversation in the window that is there", async () => {
  await page.goto(`${server}/settings`);
  await page.getByRole("heading").first().waitFor();
  const workers = context.serviceWorkers();
  const script = workers.find((one) => one.url().startsWith(server));
  expect(script).toBeDefined();
  await worker.push(notice(1_000, "come here"));
  await showing(1);
  await script!.evaluate(async () => {
    const scope = globalThis as unknown as ServiceWorkerGlobalScope;
    const [notification] = await scope.registration.getNotifications();
    scope.dispatchEvent(new NotificationEvent("notificationclick", { notification: notification! }));
  });
  await page.waitForURL(`**/c/${ann.dm(bob)}`);
  await message(page, "hello").waitFor();
  await showing(0);
});

test("without a network the page opens and shows what it has", async () => {
  await openChat(page, "Bob");
  await message(page, "hello").waitFor();
  const script = context.serviceWorkers()[0];
  expect(script).toBeDefined();
  visitor.networkFails = true;
  await context.setOffline(true);
  const other = await context.newPage();
  await other.goto(`${server}/`);
  await entry(other, "Bob").waitFor();
  await entry(other, "Bob").click();
  await message(other, "hello").waitFor();
  expect(await composer(other).isEnabled()).toBe(true);
  await context.setOffline(false);
});

interface ServiceWorkerGlobalScope extends EventTarget {
  registration: ServiceWorkerRegistration;
}
declare class NotificationEvent extends Event {
  constructor(type: string, init: { notification: Notification });
}

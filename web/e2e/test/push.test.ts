/** Pushes in the service worker, and the page without a network. */
import { afterEach, beforeEach, expect, inject, test } from "vitest";
import type { BrowserContext, CDPSession, Page, Worker as PlaywrightWorker } from "playwright-core";
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

/**
 * The service worker, seen through the browser's developer tools.
 *
 * A test asks what is shown only after the worker has done with a push: Chromium forgets a notification for which it
 * is asked while it puts it on the screen (`DoReadAllNotificationDataForServiceWorkerRegistration` in its
 * `platform_notification_context_impl.cc` removes what is written and not yet displayed).
 */
class Worker {
  private constructor(
    private readonly session: CDPSession,
    private readonly registration: string,
    private readonly script: PlaywrightWorker,
  ) {}

  static async of(page: Page): Promise<Worker> {
    const context = page.context();
    const session = await context.newCDPSession(page);
    const active = new Promise<string>((resolve) => {
      session.on("ServiceWorker.workerVersionUpdated", ({ versions }) => {
        const found = versions.find((one) => one.status === "activated" && one.scriptURL.startsWith(server));
        if (found) resolve(found.registrationId);
      });
    });
    await session.send("ServiceWorker.enable");
    const registration = await active;
    const script = context.serviceWorkers().find((one) => one.url().startsWith(server));
    if (!script) throw new Error("there is no service worker");
    await script.evaluate(() => {
      const scope = globalThis as unknown as ServiceWorkerGlobalScope;
      scope.pushes = [];
      const { prototype } = ExtendableEvent;
      const { waitUntil } = prototype;
      prototype.waitUntil = function (work) {
        if (this.type === "push") scope.pushes.push(work);
        waitUntil.call(this, work);
      };
    });
    return new Worker(session, registration, script);
  }

  /** Brings pushes at once, and waits until the worker has done with them. */
  async push(...notices: (Notice | string)[]): Promise<void> {
    const before = await this.pushes();
    for (const notice of notices) {
      await this.session.send("ServiceWorker.deliverPushMessage", {
        origin: server,
        registrationId: this.registration,
        data: typeof notice === "string" ? notice : JSON.stringify(notice),
      });
    }
    await until("the worker has them", async () => (await this.pushes()) === before + notices.length);
    await this.script.evaluate(async () => {
      await Promise.all((globalThis as unknown as ServiceWorkerGlobalScope).pushes);
    });
  }

  /** Somebody clicks on the only notification. */
  async click(): Promise<void> {
    await this.script.evaluate(async () => {
      const scope = globalThis as unknown as ServiceWorkerGlobalScope;
      const [notification] = await scope.registration.getNotifications();
      scope.dispatchEvent(new NotificationEvent("notificationclick", { notification: notification! }));
    });
  }

  private pushes(): Promise<number> {
    return this.script.evaluate(() => (globalThis as unknown as ServiceWorkerGlobalScope).pushes.length);
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
  expect(await shown()).toEqual([{ tag, title: "Bob", body: "Shall we meet at eight?" }]);
  await worker.push(notice(1_001));
  const later = await shown();
  expect(later).toHaveLength(1);
  expect(later[0]!.body).not.toBe("");
  expect(later[0]!.body).not.toContain("eight");
  await worker.push(notice(999, "an old one"));
  expect(await shown()).toEqual(later);
  await worker.push({ ...notice(5, "elsewhere"), conversation: "group.x", title: "Pond" } as Notice);
  const both = await shown();
  expect(both).toHaveLength(2);
  expect(both.find((one) => one.tag === tag)).toEqual(later[0]);
  // Those that come at once are looked at one after the other.
  await worker.push(notice(1_003, "the last one"), notice(1_002, "the one before"));
  expect((await shown()).find((one) => one.tag === tag)?.body).toBe("the last one");
  // Words that it does not understand do no harm.
  await worker.push("{{{");
  expect(await shown()).toHaveLength(2);
});

test("a notification goes away when its conversation is read", async () => {
  await page.goto(`${server}/settings`);
  const seq = (await ann.summary(ann.dm(bob))).head;
  await worker.push(notice(seq, "hello"));
  expect(await shown()).toHaveLength(1);
  await page.goto(`${server}/c/${ann.dm(bob)}`);
  await message(page, "hello").waitFor();
  await until("it is gone", async () => (await shown()).length === 0);
});

test("a click on a notification opens the conversation in the window that is there", async () => {
  await page.goto(`${server}/settings`);
  await page.getByRole("heading").first().waitFor();
  await worker.push(notice(1_000, "come here"));
  expect(await shown()).toHaveLength(1);
  await worker.click();
  await page.waitForURL(`**/c/${ann.dm(bob)}`);
  await message(page, "hello").waitFor();
  await until("it is closed", async () => (await shown()).length === 0);
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
  /** What the worker does, and did, about each push. */
  pushes: Promise<unknown>[];
}
declare class ExtendableEvent extends Event {
  waitUntil(work: Promise<unknown>): void;
}
declare class NotificationEvent extends Event {
  constructor(type: string, init: { notification: Notification });
}

/** The page as an application: it can be installed, changes to a new version when asked, and is pushed. */
import { createHash } from "node:crypto";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Page } from "playwright-core";
import { visit, Visitor } from "../src/browser.js";
import { PAGE_DIR } from "../src/paths.js";
import { Stack } from "../src/stack.js";
import { until } from "../src/until.js";
import { User } from "../src/users.js";

let stack: Stack;
let site: string;

beforeAll(async () => {
  site = mkdtempSync(join(tmpdir(), "natterjack-site-"));
  cpSync(PAGE_DIR, site, { recursive: true });
  // Push services of tests are on this machine.
  stack = await Stack.start({ env: { EDGE_WEB_DIR: site, NATTERJACK_PUSH_ANYWHERE: "true" } });
});
afterAll(async () => {
  await stack?.stop();
  rmSync(site, { recursive: true, force: true });
});

const read = (name: string) => readFileSync(join(site, name), "utf8");
const digest = (text: string) => `sha256-${createHash("sha256").update(text).digest("base64")}`;

/** Puts a file into the served directory, without the compressed forms of the former one. */
async function deploy(name: string, text: string): Promise<void> {
  for (const suffix of [".br", ".gz"]) rmSync(join(site, name + suffix), { force: true });
  writeFileSync(join(site, name), text);
  const path = name === "index.html" ? "/" : `/${name}`;
  const served = async () => (await fetch(stack.url + path, { headers: { accept: "text/html,*/*" } })).text();
  await until(`${name} is served`, async () => (await served()) === text);
}

/** A build that differs in its page alone. */
function nextBuild(): { page: string; worker: string } {
  const old = read("index.html");
  const page = old.replace("</body>", "</body><!-- next -->");
  const worker = read("sw.js")
    .replace(digest(old), digest(page))
    .replace(/(build:\W)[0-9a-f]{16}/, "$1ffffffffffffffff");
  return { page, worker };
}

/** Looks for a new version, and waits until it is installed or refused. */
const update = (page: Page) =>
  page.evaluate(async () => {
    const registration = await navigator.serviceWorker.ready;
    await registration.update();
    const installing = registration.installing;
    if (!installing) return registration.waiting?.state;
    await new Promise<void>((resolve) => {
      installing.addEventListener("statechange", () => resolve(), { once: true });
      if (installing.state !== "installing") resolve();
    });
    return installing.state;
  });
const isControlled = (page: Page) => page.evaluate(() => navigator.serviceWorker.controller !== null);

test("it can be installed", async () => {
  const visitor = await Visitor.arrive(stack.url);
  const page = await visitor.tab("/login");
  await until("the worker is there", () => isControlled(page));
  const session = await visitor.context.newCDPSession(page);
  const manifest = await session.send("Page.getAppManifest");
  expect(manifest.errors).toEqual([]);
  const { installabilityErrors } = await session.send("Page.getInstallabilityErrors");
  // Contexts of tests are private windows, which install nothing; that is all there is to say.
  expect(installabilityErrors.map((error) => error.errorId)).toEqual(["in-incognito"]);
});

test("a new version waits until it is asked for, and one that is half deployed is left alone", async () => {
  const visitor = await Visitor.arrive(stack.url);
  // The browser says what the worker refuses.
  visitor.networkFails = true;
  const [page, other] = [await visitor.tab("/login"), await visitor.tab("/login")];
  await until("the worker is there", () => isControlled(page));
  const isNext = (tab: Page) =>
    tab.evaluate(() => document.documentElement.outerHTML.includes("<!-- next -->"));

  const next = nextBuild();
  await deploy("sw.js", next.worker);
  expect(await update(page)).toBe("redundant");
  await page.reload();
  await page.getByLabel("Handle").waitFor();
  expect(await isNext(page)).toBe(false);

  await deploy("index.html", next.page);
  expect(await update(page)).toBe("installed");
  const reload = (tab: Page) => tab.getByRole("button", { name: "Reload" });
  await Promise.all([reload(page).waitFor(), reload(other).waitFor()]);
  await other.getByLabel("Handle").fill("half written");
  await reload(page).click();
  await until("this tab runs it", () => isNext(page).catch(() => false));
  // The other one is asked again, and keeps what is written in it.
  expect(await other.getByLabel("Handle").inputValue()).toBe("half written");
  await reload(other).click();
  await until("so does the other", () => isNext(other).catch(() => false));
});

/** A push service that takes every subscription; browsers without a network have none. */
function pushService(): void {
  const kept = "test-subscription";
  const bytes = (key: string) =>
    Uint8Array.from(atob(key.replaceAll("-", "+").replaceAll("_", "/")), (sign) => sign.charCodeAt(0)).buffer;
  const made = (json: string) => {
    const { key, subscription } = JSON.parse(json) as { key: string; subscription: object };
    return {
      options: { applicationServerKey: bytes(key) },
      toJSON: () => subscription,
      unsubscribe: async () => {
        localStorage.removeItem(kept);
        return true;
      },
    };
  };
  Object.assign(PushManager.prototype, {
    getSubscription: async () => {
      const json = localStorage.getItem(kept);
      return json === null ? null : made(json);
    },
    subscribe: async ({ applicationServerKey: key }: { applicationServerKey: string }) => {
      const subscription = {
        endpoint: "https://127.0.0.1:9/test",
        // The sample of RFC 8291.
        keys: {
          p256dh: "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
          auth: "BTBZMqHH6r4Tts7J_aSIgg",
        },
      };
      localStorage.setItem(kept, JSON.stringify({ key, subscription }));
      return made(localStorage.getItem(kept)!);
    },
  });
}

test("pushes are turned on and off in the settings, and end with signing out", async () => {
  const ann = await User.signUp(stack.url, "Ann");
  const { visitor, page } = await visit(stack.url, ann);
  await visitor.context.grantPermissions(["notifications"], { origin: stack.url });
  await visitor.context.addInitScript(pushService);
  const pushed = async () =>
    ((await ann.call("GET", "/v1/devices")) as { push?: string }[]).some(({ push }) => push === "webpush");
  await page.goto(`${stack.url}/settings/notifications`);
  const toggle = page.getByRole("switch", { name: "Push notifications" });
  await until("it can be turned on", () => toggle.isEnabled({ timeout: 1_000 }));

  await toggle.click();
  await until("the server knows", pushed);
  await page.getByRole("button", { name: "Show a test notification" }).click();
  await page.getByText("Shown.").waitFor();
  // Told again at each start.
  await page.reload();
  await until(
    "it is still on",
    async () => (await toggle.getAttribute("aria-checked", { timeout: 1_000 })) === "true",
  );

  await toggle.click();
  await until("the server knows that it is off", async () => !(await pushed()));
  await toggle.click();
  await until("and on again", pushed);
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Log out" }).click();
  await page.getByLabel("Password", { exact: true }).waitFor();
  expect(await pushed()).toBe(false);
  const left = await page.evaluate(async () => ({
    subscription: localStorage.getItem("test-subscription"),
    databases: (await indexedDB.databases()).map(({ name }) => name),
    notifications: (await (await navigator.serviceWorker.ready).getNotifications()).length,
  }));
  expect(left).toEqual({ subscription: null, databases: ["natterjack-accounts"], notifications: 0 });
});

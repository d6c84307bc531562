/**
 * Debian's Chromium, one for each test file, and visitors in contexts of their own.
 *
 * A test in which a page complains (an uncaught error, an error on the console, a violation of the content
 * security policy) fails, whatever else it shows.
 *
 * @module
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import {
  chromium as playwright,
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  type Locator,
  type Page,
} from "playwright-core";
import { afterAll, afterEach } from "vitest";
import { chromium, RESULTS_DIR } from "./paths.js";
import { PATIENCE_MS, until } from "./until.js";
import { PASSWORD, type User } from "./users.js";

const OPTIONS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/**
 * No desktop: where there is a message bus and nobody on it who shows notifications, Chromium waits for them to start,
 * for a minute and more, and shows nothing until then.
 */
const NO_DESKTOP = { DBUS_SESSION_BUS_ADDRESS: "disabled:", DBUS_SYSTEM_BUS_ADDRESS: "disabled:" };

/** What a browser says by itself when the network is taken away. */
const NETWORK = /net::ERR_|WebSocket connection to|Failed to load resource|Failed to fetch/;

let launched: Promise<Browser> | undefined;
const visitors = new Set<Visitor>();

/** The browser of this test file. */
export function browser(): Promise<Browser> {
  launched ??= playwright.launch({
    executablePath: chromium(),
    args: OPTIONS,
    env: { ...process.env, ...NO_DESKTOP },
  });
  return launched;
}

afterAll(async () => {
  await (await launched)?.close();
});

afterEach(async ({ task }) => {
  const failed = task.result?.state === "fail";
  const problems: string[] = [];
  for (const visitor of visitors) {
    if (failed) await visitor.photograph(task.name);
    problems.push(...visitor.problems());
    await visitor.context.close();
  }
  visitors.clear();
  if (problems.length > 0) throw new Error(`a page complained:\n${problems.join("\n")}`);
});

/** Somebody at a screen. */
export class Visitor {
  readonly context: BrowserContext;
  readonly server: string;
  private readonly complaints: string[] = [];
  /** Whether the test takes the network away, so that the browser's own words about it are no complaint. */
  networkFails = false;

  private constructor(context: BrowserContext, server: string) {
    this.context = context;
    this.server = server;
  }

  /** Opens a context of its own; see {@link visit}. */
  static async arrive(server: string, options: BrowserContextOptions = {}): Promise<Visitor> {
    const context = await (
      await browser()
    ).newContext({ viewport: { width: 1280, height: 800 }, locale: "en-GB", ...options });
    context.setDefaultTimeout(PATIENCE_MS);
    const visitor = new Visitor(context, server);
    visitors.add(visitor);
    await context.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", (event) => {
        console.error(`policy violated: ${event.violatedDirective} by ${event.blockedURI}`);
      });
    });
    context.on("page", (page) => visitor.listen(page));
    return visitor;
  }

  /** One more tab. */
  async tab(path = "/"): Promise<Page> {
    const page = await this.context.newPage();
    await page.goto(this.server + path);
    return page;
  }

  /** What the pages complained of. */
  problems(): string[] {
    return this.complaints.filter((text) => !this.networkFails || !NETWORK.test(text));
  }

  /** Pictures of all tabs, for whoever looks into a failure. */
  async photograph(name: string): Promise<void> {
    mkdirSync(RESULTS_DIR, { recursive: true });
    const stem = name.replace(/[^a-z0-9]+/gi, "-").slice(0, 80);
    for (const [n, page] of this.context.pages().entries()) {
      const path = join(RESULTS_DIR, `${stem}-${[...visitors].indexOf(this) + 1}-${n + 1}.png`);
      await page.screenshot({ path, timeout: 5_000 }).catch(() => undefined);
    }
  }

  private listen(page: Page): void {
    page.on("pageerror", (error) => this.complaints.push(`uncaught: ${error.stack ?? error.message}`));
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") {
        this.complaints.push(`${message.type()}: ${message.text()}`);
      }
    });
  }
}

/** A visitor with an account who has logged in, and their page. */
export async function visit(
  server: string,
  user: User,
  options: BrowserContextOptions = {},
): Promise<{ visitor: Visitor; page: Page }> {
  const visitor = await Visitor.arrive(server, options);
  const page = await visitor.tab("/login");
  await logIn(page, user);
  return { visitor, page };
}

/** Fills in the form, in whatever language it is. */
export async function logIn(page: Page, user: User): Promise<void> {
  await page.locator("input[autocomplete~=username]").fill(user.handle);
  await page.locator("input[type=password]").fill(PASSWORD);
  await page.locator("form button[type=submit]").click();
  await page.getByRole("searchbox").waitFor();
}

/** Polls a locator's attribute. */
export async function attribute(what: Locator, name: string, value: string | RegExp): Promise<void> {
  let last: string | null = null;
  await until(`${name} is ${value}`, async () => {
    last = await what.getAttribute(name, { timeout: 1_000 });
    return typeof value === "string" ? last === value : last !== null && value.test(last);
  }).catch((error: unknown) => {
    throw new Error(`${name} is ${last}, and not ${value}`, { cause: error });
  });
}

/** Waits until so many elements are there. */
export async function count(what: Locator, number: number): Promise<void> {
  await until(`${number} of them`, async () => (await what.count()) === number);
}

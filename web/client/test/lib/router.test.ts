/** The page's place in a history such as the browser keeps. */
import { beforeEach, expect, test, vi } from "vitest";

let entries: { url: string; state: unknown }[];
let at: number;

/** Opens the page at an address, in a history with another site's page before it. */
async function open(url: string) {
  entries = [
    { url: "/elsewhere", state: null },
    { url, state: null },
  ];
  at = 1;
  vi.resetModules();
  return (await import("../../src/lib/router.svelte")).router;
}

beforeEach(() => {
  const here = () => new URL(entries[at]!.url, "http://page.test");
  vi.stubGlobal("location", {
    get pathname() {
      return here().pathname;
    },
    get search() {
      return here().search;
    },
  });
  vi.stubGlobal("history", {
    get state() {
      return entries[at]!.state;
    },
    pushState(state: unknown, _: string, url: string) {
      entries.splice(++at, Infinity, { url, state });
    },
    replaceState(state: unknown, _: string, url: string) {
      entries[at] = { url, state };
    },
    back() {
      at--;
    },
  });
  return () => vi.unstubAllGlobals();
});

test("up goes back where the way down came from there", async () => {
  const router = await open("/");
  router.go({ name: "settings" });
  expect(entries).toHaveLength(3);
  router.up({ name: "list" });
  expect([at, entries[at]!.url]).toEqual([1, "/"]);
});

test("after a link from outside, Back from the list leads out and not down again", async () => {
  const router = await open("/settings");
  router.up({ name: "list" });
  expect(router.route).toEqual({ name: "list" });
  expect(entries.map((entry) => entry.url)).toEqual(["/elsewhere", "/"]);
  expect(at).toBe(1);
});

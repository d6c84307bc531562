import { createHash } from "node:crypto";
import { beforeEach, describe, expect, it } from "vitest";

import { precache } from "../build/worker.js";
import { answer, install, PAGE, removeOld, route } from "../src/sw/shell.js";

const origin = "https://chat.example.com";
const files = (page: string, chunk: string) =>
  new Map([
    ["index.html", page],
    [`assets/${chunk}.js`, chunk],
    [`assets/${chunk}.js.map`, "{}"],
  ]);

/** CacheStorage by its contract, as far as it is used. */
class Caches {
  readonly caches = new Map<string, Map<string, Response>>();
  async open(name: string) {
    const entries = this.caches.get(name) ?? new Map<string, Response>();
    this.caches.set(name, entries);
    return {
      match: async (path: string) => entries.get(path)?.clone(),
      put: async (path: string, response: Response) => void entries.set(path, response),
    };
  }
  async match(path: string) {
    for (const entries of this.caches.values()) if (entries.has(path)) return entries.get(path)?.clone();
    return undefined;
  }
  keys = async () => [...this.caches.keys()];
  delete = async (name: string) => this.caches.delete(name);
}

/** A server with these files, which checks digests as a browser does. */
function server(contents: Map<string, string>) {
  const asked: string[] = [];
  const load = async (input: unknown, init?: RequestInit) => {
    const path = input instanceof Request ? new URL(input.url).pathname : String(input);
    asked.push(path);
    const body = contents.get(path.slice(1));
    if (body === undefined) return new Response("none", { status: 404 });
    const digest = `sha256-${createHash("sha256").update(body).digest("base64")}`;
    if (init?.integrity !== undefined && init.integrity !== digest) throw new TypeError("integrity");
    return new Response(body);
  };
  return { load: load as typeof fetch, asked };
}

let storage: Caches & CacheStorage;
beforeEach(() => {
  storage = new Caches() as unknown as Caches & CacheStorage;
});

describe("the list of files", () => {
  it("leaves out maps, and is named after its contents", () => {
    const list = precache(files("one", "a"));
    expect(Object.keys(list.files)).toEqual(["/assets/a.js", "/index.html"]);
    expect(precache(files("one", "a")).build).toBe(list.build);
    expect(precache(files("two", "a")).build).not.toBe(list.build);
  });
});

describe("a request", () => {
  const list = precache(files("one", "a"));
  const get = (path: string, mode = "navigate", method = "GET") =>
    route({ method, mode, url: new URL(path, origin).href }, origin, list);

  it("for a place in the application is the page", () => {
    for (const path of ["/", "/c/dm.a.b", "/c/group.x?m=12", "/c/dm.a.b/details", "/settings/devices"])
      expect(get(path)).toBe(PAGE);
  });
  it("for a file of a build is that file", () => {
    expect(get("/assets/a.js", "cors")).toBe("/assets/a.js");
    expect(get("/assets/of-an-older-build.js", "cors")).toBe("/assets/of-an-older-build.js");
  });
  it("for the server is left alone", () => {
    for (const path of ["/v1/me", "/v1/ws", "/v1", "/healthz", "/metrics", "/v1/openapi.json"])
      expect(get(path)).toBeUndefined();
  });
  it("that is none of the shell's is left alone", () => {
    expect(get("/robots.txt")).toBeUndefined();
    expect(get("/", "navigate", "POST")).toBeUndefined();
    expect(get("https://elsewhere.example.com/")).toBeUndefined();
    expect(get("/other", "cors")).toBeUndefined();
  });
});

describe("an installation", () => {
  it("keeps the build, and fetches a hashed file once for all builds", async () => {
    const one = files("one", "a");
    const list = precache(one);
    await install(list, storage, server(one).load);
    const two = files("two", "a");
    const next = precache(two);
    const { load, asked } = server(two);
    await install(next, storage, load);
    expect(asked).toEqual(["/index.html"]);
    const kept = await answer(PAGE, new Request(origin), next, storage, server(new Map()).load);
    expect(await kept.text()).toBe("two");
  });

  it("that meets a file of another build fails, and leaves nothing", async () => {
    const list = precache(files("one", "a"));
    await expect(install(list, storage, server(files("two", "a")).load)).rejects.toThrow("integrity");
    await expect(install(list, storage, server(new Map()).load)).rejects.toThrow("404");
    expect(await storage.keys()).toEqual([]);
  });
});

describe("an activation", () => {
  it("keeps the build before for the tabs that run it, and no older one", async () => {
    const builds = ["a", "b", "c"].map((chunk) => files(chunk, chunk));
    for (const build of builds) await install(precache(build), storage, server(build).load);
    const list = precache(builds[2]!);
    await removeOld(list, storage);
    expect(await storage.keys()).toEqual([1, 2].map((i) => `shell-${precache(builds[i]!).build}`));
    const none = server(new Map()).load;
    const old = await answer("/assets/b.js", new Request(`${origin}/assets/b.js`), list, storage, none);
    expect(await old.text()).toBe("b");
    const gone = await answer("/assets/a.js", new Request(`${origin}/assets/a.js`), list, storage, none);
    expect(gone.status).toBe(404);
  });
});

/** The HTTP API: what goes out, what comes back, and every way in which it can go wrong. */
import { describe, expect, test } from "vitest";
import { createApi, ServerError, UnreachableError } from "../../src/index.js";

interface Asked {
  method: string;
  path: string;
  headers: Headers;
  body: unknown;
}

/** An API whose server answers with these, one after the other; without any more, with `{}`. */
function api(...answers: (Response | Error)[]) {
  const asked: Asked[] = [];
  const refusals: (string | undefined)[] = [];
  const made = createApi({
    server: "https://chat.example.com/",
    discover: false,
    tokens: async ({ refused }) => {
      refusals.push(refused);
      return { token: refused === undefined ? "first" : "second", device: "d1" };
    },
    fetch: async (url, init) => {
      const { pathname, search } = new URL(String(url));
      const body = init?.body === undefined ? undefined : (JSON.parse(String(init.body)) as unknown);
      asked.push({
        method: init!.method!,
        path: pathname + search,
        headers: new Headers(init!.headers),
        body,
      });
      const answer = answers.shift() ?? Response.json({});
      if (answer instanceof Error) throw answer;
      return answer;
    },
  });
  return { made, asked, refusals };
}

function problem(status: number, code: string, headers: Record<string, string> = {}): Response {
  const retryable = status >= 429 && status !== 501;
  return Response.json({ code, message: `it is ${code}`, retryable }, { status, headers });
}

describe("what goes out", () => {
  test.each([
    ["GET", "/v1/users?prefix=%C3%A4nn%26&limit=5", (it) => it.searchUsers("änn&", 5)],
    ["GET", "/v1/users?ids=a%2Cb", (it) => it.users(["a", "b"])],
    ["GET", "/v1/presence?users=a", (it) => it.presence(["a"])],
    ["GET", "/v1/conversations?page=p%2F1", (it) => it.conversations("p/1")],
    ["GET", "/v1/conversations/group.g/messages?at=5&limit=50", (it) => it.history("group.g", { at: 5 }, 50)],
    ["PUT", "/v1/conversations/dm.a.b/mute", (it) => it.mute("dm.a.b", { mentions: true })],
    ["DELETE", "/v1/conversations/dm.a.b/mute", (it) => it.unmute("dm.a.b")],
    ["PATCH", "/v1/groups/g", (it) => it.renameGroup("g", "Pond")],
    ["DELETE", "/v1/groups/g/members/u", (it) => it.removeMember("g", "u")],
    ["PATCH", "/v1/groups/g/members/u", (it) => it.setRole("g", "u", "admin")],
    ["DELETE", "/v1/devices/..%2Fme", (it) => it.revokeDevice("../me")],
    ["DELETE", "/v1/devices/d1/push", (it) => it.unregisterPush()],
    ["GET", "/v1/edges?region=eu", (it) => it.edges("eu")],
  ] as [string, string, (it: ReturnType<typeof createApi>) => Promise<unknown>][])(
    "%s %s",
    async (method, path, call) => {
      const { made, asked } = api();
      await call(made);
      expect(asked).toMatchObject([{ method, path }]);
      const authorization = path.startsWith("/v1/edges") ? null : "Bearer first";
      expect(asked[0]!.headers.get("authorization")).toBe(authorization);
    },
  );

  test("bodies are JSON, and a push subscription says how browsers want it", async () => {
    const { made, asked } = api();
    await made.createGroup("Pond", ["a"]);
    const keys = { p256dh: "p", auth: "a" };
    await made.registerWebPush({ endpoint: "https://push.example.com/1", expirationTime: null, keys });
    expect(asked.map(({ body }) => body)).toEqual([
      { request_id: expect.stringMatching(/^[0-9a-z]{26}$/) as string, title: "Pond", members: ["a"] },
      { channel: "webpush", endpoint: "https://push.example.com/1", keys, silent: false },
    ]);
    expect(asked[1]!.path).toBe("/v1/devices/d1/push");
  });

  test("nobody is asked about nobody", async () => {
    const { made, asked } = api();
    expect([await made.users([]), await made.presence([])]).toEqual([[], []]);
    expect(asked).toEqual([]);
  });
});

describe("what goes wrong", () => {
  test("an ended token is replaced, once", async () => {
    const { made, asked, refusals } = api(problem(401, "token_expired"), Response.json({ id: "u" }));
    expect(await made.me()).toEqual({ id: "u" });
    expect(asked.map(({ headers }) => headers.get("authorization"))).toEqual([
      "Bearer first",
      "Bearer second",
    ]);
    expect(refusals).toEqual([undefined, "first"]);
    const again = api(problem(401, "unauthorized"), problem(401, "unauthorized"));
    await expect(again.made.me()).rejects.toMatchObject({ code: "unauthorized" });
    expect(again.asked).toHaveLength(2);
  });

  test("an error is the server's own, with the time to come back", async () => {
    const { made } = api(problem(429, "rate_limited", { "retry-after": "3" }));
    const error = await made.me().catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(ServerError);
    expect(error).toMatchObject({ code: "rate_limited", retryable: true, retryAfterMs: 3_000 });
  });

  test("a code of a newer server is the server's word all the same", async () => {
    const { made } = api(problem(409, "group_frozen"));
    const error = await made.me().catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(ServerError);
    expect(error).toMatchObject({ code: "group_frozen", message: "it is group_frozen", retryable: false });
  });

  test.each([
    ["no connection", new TypeError("fetch failed")],
    ["no answer in time", new DOMException("", "TimeoutError")],
    ["a page of something in between", new Response("<html>", { status: 502 })],
    ["a captive portal", new Response("<html>Log in", { status: 200 })],
    ["an error of nobody's", Response.json({ oops: true }, { status: 500 })],
    ["an error of another form", Response.json({ code: "E42", message: "no" }, { status: 500 })],
  ])("%s: nobody knows whether it was done", async (_, answer) => {
    const error: unknown = await api(answer)
      .made.me()
      .catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(UnreachableError);
  });
});

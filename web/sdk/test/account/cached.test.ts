/** Tokens that are asked for once and used until they end. */
import { expect, test } from "vitest";
import { cachedTokens } from "../../src/account/cached.js";

function source() {
  const asked: (string | undefined)[] = [];
  let count = 0;
  let now = 0;
  const tokens = cachedTokens(
    async ({ refused }) => {
      asked.push(refused);
      count += 1;
      await Promise.resolve();
      return { token: `t${count}`, expiresAt: now + 100_000 };
    },
    () => now,
  );
  return { asked, tokens, pass: (ms: number) => void (now += ms) };
}

test("asked once, by however many, until it is about to end", async () => {
  const { asked, tokens, pass } = source();
  await Promise.all([tokens({}), tokens({}), tokens({})]);
  pass(69_000);
  expect(await tokens({})).toMatchObject({ token: "t1" });
  pass(2_000);
  expect(await tokens({})).toMatchObject({ token: "t2" });
  expect(asked).toEqual([undefined, "t1"]);
});

test("a clock that is an hour fast asks once a minute, and not with each request", async () => {
  let now = 3_600_000;
  let asked = 0;
  const tokens = cachedTokens(
    () => Promise.resolve({ token: `t${(asked += 1)}`, expiresAt: 900_000 }),
    () => now,
  );
  for (let second = 0; second < 120; second += 1) {
    await tokens({});
    now += 1_000;
  }
  expect(asked).toBe(2);
});

test("a refused one is not given again, not even to one who asked before the refusal was known", async () => {
  const { asked, tokens } = source();
  const first = tokens({});
  const second = tokens({ refused: "t1" });
  expect([(await first).token, (await second).token]).toEqual(["t1", "t2"]);
  expect(await Promise.all([tokens({ refused: "t1" }), tokens({})])).toMatchObject([
    { token: "t2" },
    { token: "t2" },
  ]);
  expect(asked).toEqual([undefined, "t1"]);
});

test("a source that fails is asked again", async () => {
  let fails = true;
  const tokens = cachedTokens(() =>
    fails ? Promise.reject(new Error("away")) : Promise.resolve({ token: "t" }),
  );
  await expect(tokens({})).rejects.toThrow("away");
  fails = false;
  expect(await tokens({})).toEqual({ token: "t" });
});

test("with a clock that is fast, a token that tells its life is used for that long", async () => {
  const claims = btoa(JSON.stringify({ iat: 1_000, exp: 1_900 }));
  let now = 1_000_000 + 3_600_000;
  let asked = 0;
  const tokens = cachedTokens(
    () => Promise.resolve({ token: `h.${claims}.${(asked += 1)}`, expiresAt: 1_900_000 }),
    () => now,
  );
  for (let minute = 0; minute < 14; minute += 1) {
    await tokens({});
    now += 60_000;
  }
  expect(asked).toBe(1);
  now += 120_000;
  await tokens({});
  expect(asked).toBe(2);
});

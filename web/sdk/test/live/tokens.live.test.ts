/** Tokens against a real server whose tokens last a minute. */
import { expect, inject, test } from "vitest";
import { Person, SERVER, until } from "./person.js";

const skipped = SERVER === "" || !inject("shortTokens");

test.skipIf(skipped)(
  "renewed in-band before they end, or replaced when they have",
  { timeout: 120_000 },
  async () => {
    const [ann, bob] = await Promise.all([Person.signUp("ann"), Person.signUp("bob")]);
    const tokens = new Set<string>();
    const hers = await ann.online({
      tokens: async (why) => {
        const token = await ann.tokens(why);
        tokens.add(token.token);
        return token;
      },
    });
    let away = false;
    const his = await bob.online({
      tokens: (why) => (away ? Promise.reject(new Error("not now")) : bob.tokens(why)),
    });
    away = true;
    await his.lost("token", 90_000);
    away = false;
    await his.engine.ask({ do: "hurry" });
    await his.is("online");
    // By now her first token has ended too, and she was never away.
    await until(
      () => tokens.size,
      (size) => size > 1,
    );
    expect(hers.told("connection").map((event) => event.state)).toEqual(["connecting", "online"]);
  },
);

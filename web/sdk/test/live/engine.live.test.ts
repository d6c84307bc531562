/** The engine against a real server, over links that break. */
import { describe, expect, onTestFinished, test } from "vitest";
import { createApi, MemoryStore, SignedOutError } from "../../src/index.js";
import { Link } from "./link.js";
import { Person, SERVER, until } from "./person.js";

async function linked(): Promise<Link> {
  const link = await Link.open(SERVER);
  onTestFinished(() => link.close());
  return link;
}

async function two(): Promise<[Person, Person]> {
  return Promise.all([Person.signUp("ann"), Person.signUp("bob")]);
}

describe.skipIf(SERVER === "")("with a real server", () => {
  test("two people talk: text, edit, deletion, receipts, typing, presence", async () => {
    const [ann, bob] = await two();
    const dm = ann.dm(bob);
    const his_id = bob.account.user.id;
    const [hers, his] = await Promise.all([ann.online(), bob.online()]);
    const first = await hers.say(dm, "Shall we meet at eight? 🦎");
    await his.hears(dm, ["Shall we meet at eight? 🦎"]);

    const cursors = () => hers.told("receipts").flatMap((event) => event.cursors);
    await until(cursors, (seen) =>
      seen.some(({ user, delivered }) => user === his_id && delivered === first),
    );
    await his.engine.ask({ do: "read", conversation: dm, seq: first });
    await until(cursors, (seen) => seen.some(({ user, read }) => user === his_id && read === first));

    await his.engine.ask({ do: "typing", conversation: dm, active: true });
    await until(
      () => hers.told("typing"),
      ([typing]) => typing?.user === his_id && typing.active,
    );
    await his.engine.ask({ do: "active", tab: "1", active: true });
    await hers.engine.ask({ do: "watch", tab: "1", users: [his_id] });
    const presences = () => hers.told("presence").flatMap((event) => event.users);
    await until(presences, (seen) => seen.some(({ user, state }) => user === his_id && state === "online"));

    const edit = { kind: "edit", target: first, text: "Shall we meet at nine?" } as const;
    await hers.stored((await hers.engine.ask({ do: "enqueue", conversation: dm, content: edit })).id);
    const page = await his.engine.ask({ do: "history", conversation: dm, anchor: {} });
    expect(page.messages[0]).toMatchObject({ seq: first, text: "Shall we meet at nine?" });
    const gone = { kind: "delete", target: first } as const;
    await hers.stored((await hers.engine.ask({ do: "enqueue", conversation: dm, content: gone })).id);
    const kinds = () =>
      his.told("messages").flatMap((event) => event.messages.map((message) => message.kind));
    await until(kinds, (seen) => seen.join() === "text,edit,delete");
  });

  test("the same id again is the same message; with another content, a conflict", async () => {
    const [ann, bob] = await two();
    const dm = ann.dm(bob);
    const id = "01930a6e-5c01-7d4e-8f60-1a2b3c4d5e6f";
    const device = await ann.online();
    const seq = await device.say(dm, "one", id);
    expect(await (await ann.online()).say(dm, "one", id)).toBe(seq);
    await device.send(dm, "two", id);
    await until(
      () => device.told("outbox").at(-1)?.entry.failed?.code,
      (code) => code === "conflict",
    );
    const page = await device.engine.ask({ do: "history", conversation: dm, anchor: {} });
    expect(page.messages).toHaveLength(1);
  });

  test("cut in the middle of a hundred sends: each is stored once, in order, and heard once", async () => {
    const [ann, bob] = await two();
    const dm = ann.dm(bob);
    const [to, from] = [await linked(), await linked()];
    const [hers, his] = await Promise.all([ann.online({ server: to.url }), bob.online({ server: from.url })]);
    const texts = Array.from({ length: 100 }, (_, n) => `text ${n}`);
    await Promise.all(texts.map((text) => hers.send(dm, text)));
    const done = () => hers.told("outbox").filter((event) => event.done).length;
    for (const some of [20, 40, 60, 80]) {
      await until(done, (seen) => seen > some);
      for (const link of [to, from]) link.weather = "cut";
      for (const link of [to, from]) link.weather = "fair";
    }
    await his.hears(dm, texts);
    await until(
      () => hers.engine.outbox(),
      (seen) => seen.length === 0,
    );
    const page = await his.engine.ask({ do: "history", conversation: dm, anchor: {}, limit: 200 });
    expect(page.messages.map((message) => "text" in message && message.text)).toEqual(texts);
    expect(hers.told("connection").some((event) => event.reason === "unreachable")).toBe(true);
  });

  test("a device that was away resumes from its store, edits included", async () => {
    const [ann, bob] = await two();
    const dm = ann.dm(bob);
    const store = new MemoryStore();
    const first = await bob.online({ store });
    const hers = await ann.online();
    const seq = await hers.say(dm, "one");
    await first.hears(dm, ["one"]);
    await first.engine.stop();
    await hers.say(dm, "two");
    const edit = { kind: "edit", target: seq, text: "one, edited" } as const;
    await hers.stored((await hers.engine.ask({ do: "enqueue", conversation: dm, content: edit })).id);
    const again = await bob.online({ store });
    await again.hears(dm, ["two", "one, edited"]);
    expect(again.told("messages").every((event) => !event.live)).toBe(true);
    const [resumed] = await until(
      () => again.told("resumed"),
      (seen) => seen.length > 0,
    );
    expect(resumed).toMatchObject({ complete: true });
  });

  test.each(["frozen", "swallowing"] as const)(
    "half-open, %s: what is sent goes over the next connection, once",
    async (weather) => {
      const [ann, bob] = await two();
      const dm = ann.dm(bob);
      const link = await linked();
      const hers = await ann.online({ server: link.url, settings: { probeMs: 500 } });
      link.weather = weather;
      const entry = await hers.send(dm, "one");
      await hers.lost("silent");
      link.weather = "fair";
      const seq = await hers.stored(entry.id);
      expect(link.connections).toBeGreaterThan(1);
      const page = await hers.engine.ask({ do: "history", conversation: dm, anchor: {} });
      expect(page.messages).toMatchObject([{ seq, id: entry.id }]);
    },
  );

  test("written while there is no server, sent when there is one", async () => {
    const [ann, bob] = await two();
    const link = await linked();
    link.weather = "cut";
    const hers = await ann.device({ server: link.url });
    const entry = await hers.send(ann.dm(bob), "one");
    await hers.lost("unreachable");
    link.weather = "fair";
    await hers.engine.ask({ do: "hurry" });
    expect(await hers.stored(entry.id)).toBeGreaterThan(0);
  });

  test("a device that is revoked elsewhere stops", async () => {
    const ann = await Person.signUp("ann");
    const other = await ann.elsewhere();
    const device = await ann.online();
    await createApi({ server: SERVER, tokens: other.tokens }).revokeDevice(ann.account.device);
    await device.is("stopped", "revoked");
    await expect(device.send("group.g", "late")).rejects.toThrow("stopped");
    // Its token has not ended yet; once it has, there is none any more.
    await (await ann.device()).is("stopped", "revoked");
    const refused = (await ann.tokens({})).token;
    await expect(ann.tokens({ refused })).rejects.toThrow(SignedOutError);
  });

  test("a token that the server does not take is asked for again", async () => {
    const ann = await Person.signUp("ann");
    const refusals: (string | undefined)[] = [];
    const device = await ann.online({
      tokens: async (why) => {
        refusals.push(why.refused);
        return why.refused === undefined ? { token: "not a token" } : ann.tokens(why);
      },
    });
    expect(refusals).toEqual([undefined, "not a token"]);
    expect(device.told("connection").map((event) => event.state)).toEqual([
      "connecting",
      "connecting",
      "online",
    ]);
  });

  test("discovery names the edge, which is connected to at its own address", async () => {
    const ann = await Person.signUp("ann");
    const link = await linked();
    const edges = await createApi({ server: SERVER, tokens: ann.tokens }).edges();
    expect(edges.map((edge) => edge.url)).toContain(SERVER);
    await ann.online({ server: link.url, discover: true });
    // The link was asked for the edges, and the socket went past it.
    expect(link.connections).toBe(1);
  });

  test(
    "more was missed than a resume replays: told, and what follows goes on",
    { timeout: 120_000 },
    async () => {
      const [ann, bob] = await two();
      const dm = ann.dm(bob);
      const store = new MemoryStore();
      const hers = await ann.online();
      const first = await bob.online({ store });
      await hers.say(dm, "first");
      await first.hears(dm, ["first"]);
      await first.engine.stop();
      await ann.fill(dm, 1_100);
      const again = await bob.online({ store });
      await until(
        () => again.told("resumed"),
        (seen) => seen.length > 0,
      );
      expect(again.told("truncated")).toHaveLength(1);
      const { cursor, head } = again.told("truncated")[0]!;
      const page = await again.engine.ask({
        do: "history",
        conversation: dm,
        anchor: { after: cursor },
        limit: 200,
      });
      expect(page.head).toBe(head);
      await hers.say(dm, "last");
      await until(
        () => again.texts(dm).at(-1),
        (seen) => seen === "last",
      );
      expect((await store.open()).cursors.get(dm)).toBeGreaterThan(head);
    },
  );
});

/** The models of a client against a real server. */
import { describe, expect, onTestFinished, test } from "vitest";
import { WebSocket } from "ws";

import {
  type Client,
  type ClientOptions,
  createClient,
  MemoryStore,
  type SocketLike,
  type Summary,
} from "../../src/index.js";
import type { Conversation, Role } from "../../src/wire.js";
import { Person, SERVER, until } from "./person.js";

/** A client of a person, stopped at the end of the test at the latest. */
async function clientOf(person: Person, options: Partial<ClientOptions> = {}): Promise<Client> {
  const client = createClient({
    server: SERVER,
    tokens: person.tokens,
    WebSocket: WebSocket as unknown as new (url: string) => SocketLike,
    discover: false,
    store: new MemoryStore(),
    ...options,
  });
  onTestFinished(() => client.stop());
  await client.start();
  await until(
    () => client.connection.state,
    (state) => state === "online",
  );
  return client;
}

async function twoPeople(): Promise<[Person, Person, Client, Client]> {
  const [ann, bob] = await Promise.all([Person.signUp("ann"), Person.signUp("bob")]);
  const clients = await Promise.all([clientOf(ann), clientOf(bob)]);
  return [ann, bob, ...clients];
}

/** Waits until nothing waits in the outbox of a conversation. */
async function sent(client: Client, conversation: Conversation): Promise<void> {
  await until(
    () => client.conversations.get(conversation)?.waiting,
    (waiting) => waiting === 0,
  );
}

const texts = (thread: ReturnType<Client["thread"]>) => thread.snapshot.items.map((item) => item.text);
const numbers = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => `${from + index}`);

describe.skipIf(SERVER === "")("the models", () => {
  test("a thread of 1,000 messages is paged through both ways, from the server and then from the store", async () => {
    const [, bob, ann] = await twoPeople();
    const conversation = ann.dm(bob.account.user.id);
    for (const text of numbers(1, 1_000)) await ann.send(conversation, text);
    await sent(ann, conversation);
    const store = new MemoryStore();
    let asked = 0;
    class Counted extends WebSocket {
      override send(data: Parameters<WebSocket["send"]>[0]): void {
        if ((data as string).includes('"type":"history"')) asked += 1;
        super.send(data);
      }
    }
    const other = await bob.elsewhere();
    const reader = await clientOf(other, { store, WebSocket: Counted as never });
    for (const temperature of ["cold", "warm"]) {
      asked = 0;
      const thread = reader.thread(conversation);
      await thread.jump({ at: "end" });
      const seen = new Set(texts(thread));
      let last = 1_000;
      while (!thread.snapshot.atStart) {
        await thread.older();
        expect(thread.snapshot.error).toBeUndefined();
        const shown = texts(thread).map(Number);
        expect(shown).toEqual(numbers(shown[0]!, shown.at(-1)!).map(Number));
        expect(shown[0]).toBeLessThanOrEqual(last);
        expect(shown.length).toBeLessThanOrEqual(360);
        last = shown[0]!;
        for (const text of texts(thread)) seen.add(text);
      }
      expect(seen.size).toBe(1_000);
      while (!thread.snapshot.atEnd) await thread.newer();
      expect(texts(thread).at(-1)).toBe("1000");
      expect(await thread.jump({ at: "seq", seq: thread.snapshot.items[0]!.seq! - 200 })).toBeDefined();
      thread.close();
      if (temperature === "cold") expect(asked).toBeGreaterThan(15);
      else expect(asked).toBeLessThan(4);
    }
  });

  test("what happened while one was away is there on return", async () => {
    const [, bob, ann] = await twoPeople();
    const conversation = ann.dm(bob.account.user.id);
    const store = new MemoryStore();
    const before = await clientOf(bob, { store });
    for (const text of ["one", "two", "three"]) await ann.send(conversation, text);
    const thread = before.thread(conversation);
    await thread.jump({ at: "end" });
    await until(
      () => texts(thread),
      (shown) => shown.length === 3,
    );
    const seqs = thread.snapshot.items.map((item) => item.seq!);
    await before.stop();
    await ann.edit(conversation, seqs[0]!, "one, edited");
    await ann.delete(conversation, seqs[1]!);
    await ann.send(conversation, "four", { replyTo: seqs[0]! });
    await sent(ann, conversation);
    const after = await clientOf(bob, { store });
    const again = after.thread(conversation);
    await again.jump({ at: "unread" });
    await until(
      () => texts(again),
      (shown) => JSON.stringify(shown) === JSON.stringify(["one, edited", undefined, "three", "four"]),
    );
    expect(again.snapshot.items[0]).toMatchObject({ edited: true });
    expect(again.snapshot.items[1]).toMatchObject({ deleted: true });
    expect(again.snapshot.items[3]!.replyTo?.item?.text).toBe("one, edited");
    expect(again.snapshot.dividerAfter).toBe(0);
    await after.read(conversation, again.snapshot.items[3]!.seq!);
    const theirs = ann.thread(conversation);
    await theirs.jump({ at: "end" });
    await until(
      () => theirs.snapshot.items.at(-1)?.status,
      (status) => status === "read",
    );
  });

  test("a group comes and goes, with its title, roles and members", async () => {
    const [, bobs, ann, bob] = await twoPeople();
    const { conversation } = await ann.api.createGroup("Climbing", [bobs.account.user.id]);
    const group = conversation.slice("group.".length);
    const entry = (client: Client) => client.conversations.get(conversation)?.summary;
    await until(
      () => entry(bob),
      (seen) => seen?.title === "Climbing" && seen.role === "member",
    );
    await ann.api.renameGroup(group, "Sundays");
    await ann.api.setRole(group, bobs.account.user.id, "admin");
    await until(
      () => entry(bob),
      (seen) => seen?.title === "Sundays" && seen.role === "admin",
    );
    const carl = await Person.signUp("carl");
    await ann.api.addMembers(group, [carl.account.user.id]);
    for (const client of [ann, bob]) {
      await until(
        () => entry(client),
        (seen) => seen?.member_count === 3,
      );
    }
    const thread = bob.thread(conversation);
    await thread.jump({ at: "end" });
    await bob.send(conversation, "hello");
    await until(
      () => thread.cursors.length,
      (count) => count === 2,
    );
    await ann.api.removeMember(group, bobs.account.user.id);
    await until(
      () => entry(bob),
      (seen) => seen === undefined,
    );
    await ann.api.addMembers(group, [bobs.account.user.id]);
    await until(
      () => entry(bob),
      (seen) => seen?.role === "member",
    );
  });

  test("the list is the server's after a random walk", async () => {
    const [annP, bobP, ann, bob] = await twoPeople();
    const ids = [annP.account.user.id, bobP.account.user.id];
    const clients = [ann, bob];
    const { conversation: group } = await ann.api.createGroup("Walk", [ids[1]!]);
    const conversations = [ann.dm(ids[1]!), group, ann.dm(ids[0]!)];
    const others = await Promise.all([Person.signUp("carl"), Person.signUp("dora")]);
    const roles: Role[] = ["member", "admin"];
    const inside = new Set<string>();
    // The same walk each time, so that what it finds can be found again.
    let state = 42;
    const random = (below: number) => {
      state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
      return Math.floor((state / 2 ** 31) * below);
    };
    const threads = new Map(
      clients.map((client) => [client, new Map<string, ReturnType<Client["thread"]>>()]),
    );
    for (const client of clients) {
      for (const conversation of conversations) {
        const thread = client.thread(conversation);
        threads.get(client)!.set(conversation, thread);
        await thread.jump({ at: "end" });
      }
    }
    for (let step = 0; step < 150; step += 1) {
      const client = clients[random(2)]!;
      const notes = client === ann ? [0, 1, 2] : [0, 1];
      const conversation = conversations[notes[random(notes.length)]!]!;
      const what = random(12);
      const thread = threads.get(client)!.get(conversation)!;
      const known = thread.snapshot.items.filter((item) => item.seq !== undefined && item.kind === "text");
      const some = known[random(known.length)];
      if (what < 6 || some === undefined) await client.send(conversation, `step ${step}`);
      else if (what === 6 && some.own) await client.edit(conversation, some.seq!, `edited in ${step}`);
      else if (what === 7 && some.own) await client.delete(conversation, some.seq!);
      else if (what === 8 || what === 9) await client.read(conversation, some.seq!);
      else if (what === 10) await ann.api.renameGroup(group.slice(6), `Walk ${step}`);
      else if (what === 11) {
        const { id } = others[random(2)]!.account.user;
        if (inside.delete(id)) await ann.api.removeMember(group.slice(6), id);
        else await ann.api.addMembers(group.slice(6), [inside.add(id) && id]);
        await ann.api.setRole(group.slice(6), ids[1]!, roles[random(2)]!);
      }
    }
    for (const client of clients) {
      for (const { conversation } of client.conversations.snapshot) await sent(client, conversation);
    }
    const told = (summary: Summary) => {
      const { head, last_message, unread, cursor, title, role, member_count } = summary;
      return { head, last_message, unread, read: cursor.read, title, role, member_count };
    };
    for (const client of clients) {
      await until(
        async () => {
          const { conversations: theirs } = await client.api.conversations();
          const ours = client.conversations.snapshot.map(({ summary }) => summary);
          const byName = (list: readonly Summary[]) =>
            Object.fromEntries(list.map((summary) => [summary.conversation, told(summary)]));
          return [byName(ours), byName(theirs)];
        },
        ([ours, theirs]) => sorted(ours!) === sorted(theirs!),
        15_000,
      );
    }
  });
});

function sorted(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    inner !== null && typeof inner === "object" && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

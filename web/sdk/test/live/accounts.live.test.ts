/** Accounts and the API against a real server. */
import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import {
  accounts,
  createApi,
  makeUlid,
  openVault,
  ServerError,
  SignedOutError,
  UnreachableError,
} from "../../src/index.js";
import { Link } from "./link.js";
import { Person, SERVER, until } from "./person.js";

test.skipIf(SERVER === "")("signed up, signed in again, refreshed, signed out", async () => {
  const ann = await Person.signUp("ann");
  const handle = ann.account.user.handle!;
  const theirs = accounts({ server: SERVER, vault: openVault(undefined) });
  await expect(theirs.logIn(handle, "not the password")).rejects.toMatchObject({ code: "unauthorized" });
  await expect(theirs.signUp(handle, "some password")).rejects.toMatchObject({ code: "handle_taken" });

  const again = await ann.accounts.logIn(handle, "correct horse battery staple");
  expect(again.device).toBe(ann.account.device);
  const first = await ann.tokens({});
  const second = await ann.tokens({ refused: first.token });
  expect(second.token).not.toBe(first.token);
  expect(await ann.tokens({})).toEqual(second);

  await ann.accounts.logOut();
  expect(await ann.accounts.current()).toBeUndefined();
  await expect(ann.tokens({})).rejects.toThrow(SignedOutError);
  const api = createApi({ server: SERVER, tokens: () => Promise.resolve(second) });
  await expect(api.me()).rejects.toMatchObject({ code: "revoked" });
});

test.skipIf(SERVER === "")("a device that was revoked while nobody was connected is told so", async () => {
  const ann = await Person.signUp("ann");
  const phone = await ann.elsewhere();
  const held = await phone.tokens({});
  await createApi({ server: SERVER, tokens: ann.tokens }).revokeOtherDevices();
  // What it has ended long ago, and it asks for another one.
  const tokens = () => phone.tokens({ refused: held.token });
  await expect(tokens()).rejects.toMatchObject({ name: "SignedOutError", revoked: true });
  await (await phone.device({ tokens })).is("stopped", "revoked");
});

test.skipIf(SERVER === "")("signed up twice, because the first answer was lost", async () => {
  const handle = `lost-${randomBytes(4).toString("hex")}`;
  let lost = 0;
  const fetch = (async (url: string, init: RequestInit) => {
    const answer = await globalThis.fetch(url, init);
    if (!url.endsWith("/v1/signup") || lost++ > 0) return answer;
    throw new TypeError("the answer is lost");
  }) as typeof globalThis.fetch;
  const own = accounts({ server: SERVER, vault: openVault(undefined), fetch, discover: false });
  await expect(own.signUp(handle, "correct horse")).rejects.toBeInstanceOf(UnreachableError);
  const account = await own.signUp(handle, "correct horse");
  const api = createApi({ server: SERVER, tokens: own.tokens(account) });
  expect(await api.devices()).toMatchObject([{ id: account.device, current: true }]);
});

test.skipIf(SERVER === "")(
  "the configured server is gone: calls and tokens go to an edge that it named",
  async () => {
    const link = await Link.open(SERVER);
    const vault = openVault(undefined);
    const own = accounts({ server: link.url, vault });
    const account = await own.signUp(`moved-${randomBytes(4).toString("hex")}`, "correct horse");
    const before = await own.tokens(account)({});
    const memory: { named?: { edges: readonly string[] } } = {};
    const api = createApi({
      server: link.url,
      tokens: own.tokens(account),
      memory: { get: async () => memory.named, set: async (named) => void (memory.named = named) },
    });
    expect(await api.me()).toMatchObject({ id: account.user.id });
    // Nobody waits for it: who else is there.
    await until(
      async () => [await vault.edges!(link.url), memory.named],
      (seen) => seen.every((named) => (named as typeof memory.named)?.edges.includes(SERVER)),
    );
    await link.close();
    expect((await own.tokens(account)({ refused: before.token })).token).not.toBe(before.token);
    expect(await api.searchUsers(account.user.handle!)).toMatchObject([{ id: account.user.id }]);
    expect(await api.createGroup("Pond", [])).toMatchObject({ title: "Pond" });
  },
);

test.skipIf(SERVER === "")("every call of the API is one that the server knows", async () => {
  const [ann, bob] = await Promise.all([Person.signUp("ann"), Person.signUp("bob")]);
  const api = createApi({ server: SERVER, tokens: ann.tokens });
  const [her, his] = [ann.account.user.id, bob.account.user.id];

  expect(await api.me()).toMatchObject({ id: her, presence: "everyone", push_preview: "full" });
  expect(await api.setMe({ name: "Ann 🦎", push_preview: "none" })).toMatchObject({ name: "Ann 🦎" });
  expect(await api.searchUsers(bob.account.user.handle!, 5)).toMatchObject([{ id: his }]);
  expect(await api.users([his])).toMatchObject([{ id: his }]);
  expect(await api.presence([his])).toMatchObject([{ user: his }]);
  expect(await api.devices()).toMatchObject([{ id: ann.account.device, current: true }]);
  expect(await api.pushChannels()).toBeTypeOf("object");
  await api.unregisterPush();
  await api.revokeOtherDevices();

  const group = await api.createGroup("Pond", [his]);
  const id = group.conversation.slice("group.".length);
  expect(group).toMatchObject({ title: "Pond", role: "owner", member_count: 2 });
  const twice = makeUlid();
  const [one, other] = [await api.createGroup("Twice", [], twice), await api.createGroup("Twice", [], twice)];
  expect(other.conversation).toBe(one.conversation);
  expect(one.conversation).not.toBe(`group.${twice}`);
  expect(await api.renameGroup(id, "Lake")).toMatchObject({ title: "Lake" });
  await api.setRole(id, his, "admin");
  expect((await api.members(group.conversation)).map(({ role }) => role).sort()).toEqual(["admin", "owner"]);
  await api.removeMember(id, his);
  expect(await api.addMembers(id, [his])).toMatchObject({ member_count: 2 });
  expect(await api.mute(group.conversation, { mentions: true })).toMatchObject({ mute: { mentions: true } });
  expect(await api.unmute(group.conversation)).not.toHaveProperty("mute");
  expect(await api.conversation(group.conversation)).toMatchObject({ title: "Lake" });
  expect((await api.conversations(undefined, 10)).conversations).toHaveLength(2);
  const page = await api.history(group.conversation, { before: 2 ** 50 }, 3);
  expect(page.messages.every(({ kind }) => kind === "event")).toBe(true);
  await expect(api.history("group.nobody", {})).rejects.toBeInstanceOf(ServerError);
});

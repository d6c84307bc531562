/** Accounts and the API against a real server. */
import { expect, test } from "vitest";
import { accounts, createApi, openVault, ServerError, SignedOutError } from "../../src/index.js";
import { Person, SERVER } from "./person.js";

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
  expect(await api.renameGroup(id, "Lake")).toMatchObject({ title: "Lake" });
  await api.setRole(id, his, "admin");
  expect((await api.members(group.conversation)).map(({ role }) => role).sort()).toEqual(["admin", "owner"]);
  await api.removeMember(id, his);
  expect(await api.addMembers(id, [his])).toMatchObject({ member_count: 2 });
  expect(await api.mute(group.conversation, { mentions: true })).toMatchObject({ mute: { mentions: true } });
  expect(await api.unmute(group.conversation)).not.toHaveProperty("mute");
  expect(await api.conversation(group.conversation)).toMatchObject({ title: "Lake" });
  expect((await api.conversations(undefined, 10)).conversations).toHaveLength(1);
  const page = await api.history(group.conversation, { before: 2 ** 50 }, 3);
  expect(page.messages.every(({ kind }) => kind === "event")).toBe(true);
  await expect(api.history("group.nobody", {})).rejects.toBeInstanceOf(ServerError);
});

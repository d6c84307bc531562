/** Replies and edits that wait while another conversation is open. */
import type { Client, ThreadItem } from "natterjack-sdk";
import { expect, test } from "vitest";

import { putAside, takeUp } from "../../src/thread/unfinished.js";

const client = {} as Client;
const edit = { about: { act: "edit", item: { key: "7" } as ThreadItem }, text: "half of" } as const;

test("each conversation has its own, until it is finished", () => {
  putAside(client, "dm.a.b", edit);
  expect(takeUp(client, "dm.a.c")).toBeUndefined();
  expect(takeUp(client, "dm.a.b")).toBe(edit);
  putAside(client, "dm.a.b", undefined);
  expect(takeUp(client, "dm.a.b")).toBeUndefined();
});

test("nothing of it is another user's", () => {
  putAside(client, "dm.a.b", edit);
  expect(takeUp({} as Client, "dm.a.b")).toBeUndefined();
});

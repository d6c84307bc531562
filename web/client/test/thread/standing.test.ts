/** How the server is asked whether one is in a group. */
import type { Client } from "natterjack-sdk";
import { beforeEach, expect, test, vi } from "vitest";

import { askWhetherIn } from "../../src/thread/standing.js";

const refusal = (code: string) => Object.assign(new Error(code), { code });

let resumed: (() => void) | undefined;
let answer: () => Promise<unknown>;
const conversation = vi.fn(() => answer());
const client = {
  api: { conversation },
  on: (_: string, listener: () => void) => {
    resumed = listener;
    return () => (resumed = undefined);
  },
} as unknown as Client;
const tell = vi.fn();
const settled = () => new Promise((resolve) => setTimeout(resolve));

beforeEach(() => {
  vi.clearAllMocks();
  answer = () => Promise.resolve({});
});

test("asks once, and again when the connection is back", async () => {
  askWhetherIn(client, "group.a", tell);
  await settled();
  expect(conversation).toHaveBeenCalledTimes(1);
  resumed?.();
  await settled();
  expect(conversation.mock.calls).toEqual([["group.a"], ["group.a"]]);
  expect(tell.mock.calls).toEqual([[true], [true]]);
});

test.each(["not_member", "not_found"])("%s: one is not in it", async (code) => {
  answer = () => Promise.reject(refusal(code));
  askWhetherIn(client, "group.a", tell);
  await settled();
  expect(tell.mock.calls).toEqual([[false]]);
});

test("any other failure says nothing", async () => {
  answer = () => Promise.reject(refusal("unavailable"));
  askWhetherIn(client, "group.a", tell);
  answer = () => Promise.reject(new TypeError("offline"));
  resumed?.();
  await settled();
  expect(conversation).toHaveBeenCalledTimes(2);
  expect(tell).not.toHaveBeenCalled();
});

test("once it is over nothing is told or asked", async () => {
  askWhetherIn(client, "group.a", tell)();
  expect(resumed).toBeUndefined();
  await settled();
  expect(tell).not.toHaveBeenCalled();
});

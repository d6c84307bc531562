/** Addresses: each route has one, and each address a route. */
import { describe, expect, it } from "vitest";

import { conversationOf, href, instead, onScreen, parse, SETTINGS, type Route } from "../../src/lib/route.js";

const A = "01j9z3k4m5n6p7q8r9s0t1v2w3";
const B = "01j9z3m8x2c4v6b8n0q2w4e6r8";
const at = (address: string) => parse(new URL(address, "https://chat.example.com"));

describe("routes", () => {
  const routes: Route[] = [
    { name: "list" },
    { name: "thread", conversation: `dm.${A}.${B}` },
    { name: "thread", conversation: `group.${A}`, message: 1042 },
    { name: "details", conversation: `group.${A}` },
    { name: "settings" },
    ...SETTINGS.map((section): Route => ({ name: "settings", section })),
    { name: "login" },
    { name: "signup" },
  ];
  it.each(routes.map((route) => [href(route), route] as const))(
    "%s leads back to its route",
    (address, route) => {
      expect(at(address)).toEqual(route);
    },
  );

  it.each([
    "/nowhere",
    "/c",
    "/c/dm.x.y",
    `/c/user.${A}`,
    `/c/group.${A}/other`,
    `/c/group.${A}/details/more`,
    "/login/now",
    `/c/GROUP.${A}`,
    "/settings/devices/one",
  ])("%s is the list", (address) => {
    expect(at(address)).toEqual({ name: "list" });
  });

  it.each(["0", "-1", "1.5", "x", "9007199254740993", ""])("m=%s names no message", (m) => {
    expect(at(`/c/group.${A}?m=${m}`)).toEqual({ name: "thread", conversation: `group.${A}` });
  });

  it("a section that is not there is the settings", () => {
    expect(at("/settings/nothing")).toEqual({ name: "settings" });
  });

  it("tells which conversation is shown", () => {
    expect(conversationOf(at(`/c/group.${A}/details`))).toBe(`group.${A}`);
    expect(conversationOf({ name: "settings" })).toBeUndefined();
  });

  it("the details cover the messages where there is one pane only", () => {
    const details = at(`/c/group.${A}/details`);
    expect(onScreen(details, true)).toBeUndefined();
    expect(onScreen(details, false)).toBe(`group.${A}`);
    expect(onScreen(at(`/c/group.${A}`), true)).toBe(`group.${A}`);
  });
});

describe("a place that is not for whoever is there", () => {
  it("gives way to one that is", () => {
    expect(instead({ name: "login" }, true)).toEqual({ name: "list" });
    expect(instead({ name: "signup" }, true)).toEqual({ name: "list" });
    expect(instead({ name: "settings" }, true)).toBeUndefined();
    expect(instead({ name: "list" }, false)).toEqual({ name: "login" });
    expect(instead({ name: "details", conversation: "group.x" }, false)).toEqual({ name: "login" });
    expect(instead({ name: "signup" }, false)).toBeUndefined();
  });
});

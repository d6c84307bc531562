/** Who may do what, how long a mute is, and what an account needs. */
import type { Member, Role } from "natterjack-sdk";
import { describe, expect, it } from "vitest";

import { complaint, tidyHandle } from "../../src/account/rules.js";
import { endOf, muteFor } from "../../src/groups/mute.js";
import { givable, mayManage, mayRemove, sorted } from "../../src/groups/roles.js";

describe("roles", () => {
  it.each([
    ["owner", "owner", true],
    ["owner", "admin", true],
    ["admin", "owner", false],
    ["admin", "admin", false],
    ["admin", "member", true],
    ["member", "member", false],
    [undefined, "member", false],
  ] as [Role | undefined, Role, boolean][])("%s removes %s: %s", (own, other, may) => {
    expect(mayRemove(own, other)).toBe(may);
  });

  it("owners give roles, admins manage", () => {
    expect(givable("owner", "admin")).toEqual(["owner", "member"]);
    expect(givable("owner", undefined)).toEqual(["owner", "admin"]);
    expect(givable("admin", "member")).toEqual([]);
    expect([mayManage("owner"), mayManage("admin"), mayManage("member"), mayManage(undefined)]).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });

  it("members stand by role and then by name", () => {
    const member = (name: string, role?: Role): Member => ({
      user: { id: name, name },
      cursor: { delivered: 0, read: 0 },
      ...(role && { role }),
    });
    const all = [member("Zoe", "owner"), member("Émile"), member("Ann", "member"), member("Fay", "admin")];
    expect(sorted(all, (one) => one.user.name, "en").map((one) => one.user.name)).toEqual([
      "Zoe",
      "Fay",
      "Ann",
      "Émile",
    ]);
  });
});

describe("mutes", () => {
  const at = (text: string) => new Date(text).getTime();

  it("end when they say", () => {
    const now = at("2025-03-19T14:05:00");
    expect(endOf("hour", now)).toBe(at("2025-03-19T15:05:00"));
    expect(endOf("eightHours", now)).toBe(at("2025-03-19T22:05:00"));
    expect(endOf("tomorrow", now)).toBe(at("2025-03-20T08:00:00"));
    expect(endOf("forEver", now)).toBeUndefined();
  });

  it("tomorrow, said after midnight, is this morning", () => {
    expect(endOf("tomorrow", at("2025-03-19T01:30:00"))).toBe(at("2025-03-19T08:00:00"));
  });

  it("are told to the server without an end that is none", () => {
    expect(muteFor("forEver", true, 0)).toEqual({ mentions: true });
    expect(muteFor("hour", false, 0)).toEqual({ until: 3_600_000, mentions: false });
  });
});

describe("what an account needs", () => {
  it.each([
    ["", "longenough", true, "fillIn"],
    ["ann", "", false, "fillIn"],
    ["an", "longenough", true, "handleInvalid"],
    ["ann lee", "longenough", true, "handleInvalid"],
    ["ann", "short", true, "passwordShort"],
    ["ann", "🦎🦎🦎🦎", true, "passwordShort"],
    ["ann_l-e.e", "longenough", true, undefined],
    // Who has an account is not told the rules of new ones.
    ["an", "short", false, undefined],
  ] as const)("%s / %s", (handle, password, creating, wrong) => {
    expect(complaint(handle, password, creating)).toBe(wrong);
  });

  it("a handle is taken as it was meant", () => {
    expect(tidyHandle(" @Ann ")).toBe("ann");
  });
});

import type { GroupEvent, ThreadItem } from "natterjack-sdk";
import { describe, expect, it } from "vitest";

import { happened } from "../../src/thread/happened";

const names: Record<string, string> = { me: "You", ann: "Ann", bob: "Bob" };
function line(sender: string, event: GroupEvent): string {
  const own = sender === "me";
  const item: ThreadItem = {
    key: "k",
    sender,
    own,
    at: 0,
    kind: "event",
    event,
    deleted: false,
    edited: false,
  };
  return happened(item, "me", (user) => names[user] ?? "Someone");
}

describe("a group's events in words", () => {
  it.each<[string, GroupEvent, string]>([
    ["ann", { type: "created", title: "Pond" }, "Ann created the group “Pond”"],
    ["me", { type: "renamed", title: "Pond" }, "You named the group “Pond”"],
    ["ann", { type: "member_added", user: "bob", role: "member" }, "Ann added Bob"],
    ["ann", { type: "member_added", user: "me", role: "member" }, "Ann added you"],
    ["me", { type: "member_added", user: "bob", role: "member" }, "You added Bob"],
    ["bob", { type: "member_removed", user: "bob" }, "Bob left"],
    ["ann", { type: "member_removed", user: "me" }, "Ann removed you"],
    ["me", { type: "member_removed", user: "me" }, "You left"],
    ["ann", { type: "role_changed", user: "bob", role: "owner" }, "Ann made Bob an owner"],
  ])("%s, %j", (sender, event, expected) => expect(line(sender, event)).toBe(expected));

  it("say nothing of what they do not know", () => {
    expect(line("ann", { type: "painted" } as unknown as GroupEvent)).toBe("");
  });
});

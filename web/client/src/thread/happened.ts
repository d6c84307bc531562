/**
 * A group's events in words: "Ann added Bob".
 *
 * @module
 */
import type { ThreadItem, UserId } from "natterjack-sdk";

import { texts } from "./texts.js";

/** What happened; `me` is oneself, and `name` says what somebody is called. Empty for events that this version does not know. */
export function happened(item: ThreadItem, me: UserId, name: (user: UserId) => string): string {
  const { event } = item;
  const t = texts();
  const who = name(item.sender);
  const whom = (user: UserId): string => (user === me ? t.whomYou : name(user));
  switch (event?.type) {
    case "created":
      return t.created(who, event.title);
    case "renamed":
      return t.renamed(who, event.title);
    case "member_added":
      return event.user === item.sender ? t.joined(who) : t.added(who, whom(event.user));
    case "member_removed":
      return event.user === item.sender ? t.left(who) : t.removed(who, whom(event.user));
    case "role_changed":
      return t.role(who, whom(event.user), t.roles[event.role]);
    default:
      return "";
  }
}

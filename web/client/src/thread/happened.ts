/**
 * A group's events in words: "Ann added Bob".
 *
 * @module
 */
import type { ThreadItem, UserId } from "natterjack-sdk";

import { texts } from "./texts.js";

/** What happened; `me` is oneself, and `name` says what somebody is called. Empty for events that this version does not know. */
export function happened(item: ThreadItem, me: UserId, name: (user: UserId) => string): string {
  const { event, own } = item;
  const t = texts();
  const who = name(item.sender);
  const whom = (user: UserId): string => (user === me ? t.whomYou : name(user));
  switch (event?.type) {
    case "created":
      return own ? t.own.created(event.title) : t.created(who, event.title);
    case "renamed":
      return own ? t.own.renamed(event.title) : t.renamed(who, event.title);
    case "member_added":
      if (event.user === item.sender) return own ? t.own.joined : t.joined(who);
      return own ? t.own.added(name(event.user)) : t.added(who, whom(event.user));
    case "member_removed":
      if (event.user === item.sender) return own ? t.own.left : t.left(who);
      return own ? t.own.removed(name(event.user)) : t.removed(who, whom(event.user));
    case "role_changed": {
      const role = t.roles[event.role];
      return own ? t.own.role(whom(event.user), role) : t.role(who, whom(event.user), role);
    }
    default:
      return "";
  }
}

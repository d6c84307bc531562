/**
 * What conversations and people are called.
 *
 * @module
 */
import type { Conversation, Profile, Summary, UserId } from "natterjack-sdk";

import { common } from "./i18n/common.js";

/** The other one of a 1:1 chat: oneself for notes to self, nothing for a group. */
export function peerOf(conversation: Conversation, me: UserId): UserId | undefined {
  const [kind, a, b] = conversation.split(".");
  if (kind !== "dm") return undefined;
  return a === me ? b : a;
}

/** The 1:1 chat with somebody: notes to self with oneself. */
export function chatWith(user: UserId, me: UserId): Conversation {
  return user < me ? `dm.${user}.${me}` : `dm.${me}.${user}`;
}

/** The id that a conversation's colour comes from: the peer's or the group's. */
export function faceOf(conversation: Conversation, me: UserId): string {
  return peerOf(conversation, me) ?? conversation.slice(conversation.indexOf(".") + 1);
}

/** What somebody is called: the name, else the handle. */
export function nameOf(profile: Profile | undefined): string {
  return profile?.name || profile?.handle || common().someone;
}

/** What a conversation is called. */
export function titleOf(summary: Pick<Summary, "conversation" | "title" | "peer">, me: UserId): string {
  if (summary.conversation === `dm.${me}.${me}`) return common().notesToSelf;
  return summary.title ?? (summary.peer ? nameOf(summary.peer) : common().group);
}

/** Up to two letters that stand for a name: the first of the first and of the last word. */
export function initialsOf(name: string): string {
  const words = name.split(/\s+/u).filter((word) => /[\p{L}\p{N}]/u.test(word));
  const letters = [words[0], words.length > 1 ? words.at(-1) : undefined].map(
    (word) => word?.match(/[\p{L}\p{N}]/u)?.[0] ?? "",
  );
  return letters.join("").toLocaleUpperCase() || "?";
}

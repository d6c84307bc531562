/**
 * What an application may ask for: names, ids and sequences that a server knows. One that it does not know would end
 * the session of all tabs after a few.
 *
 * @module
 */
import type { Command } from "./engine/engine.js";
import { UsageError } from "./errors.js";
import type { Conversation, Seq, UserId } from "./wire.js";

/** A ULID in lower case. */
const ULID = "[0-7][0-9a-hjkmnp-tv-z]{25}";
const ID = new RegExp(`^${ULID}$`);
const CONVERSATION = new RegExp(`^(?:(?:group|user)\\.${ULID}|dm\\.(${ULID})\\.(${ULID}))$`);

/**
 * Passes the id of a user.
 *
 * @throws {UsageError} It is none.
 */
export function checkedUser(user: UserId): UserId {
  if (typeof user === "string" && ID.test(user)) return user;
  throw new UsageError(`${shown(user)} is not the id of a user: it has 26 characters, and a handle is no id`);
}

/**
 * Passes the name of a conversation.
 *
 * @throws {UsageError} It is none.
 */
export function checkedConversation(conversation: Conversation): Conversation {
  const parts = typeof conversation === "string" ? CONVERSATION.exec(conversation) : null;
  const [, first, second] = parts ?? [];
  if (parts !== null && (first === undefined || first <= second!)) return conversation;
  const names = "dm.<user>.<user> with the smaller id first, group.<group>, or user.<user>";
  throw new UsageError(`${shown(conversation)} is not the name of a conversation: that is ${names}`);
}

/**
 * Passes a command of the application.
 *
 * @throws {UsageError} Something in it cannot be.
 */
export function checkedCommand<C extends Command>(command: C): C {
  const it: Command = command;
  if ("conversation" in it) checkedConversation(it.conversation);
  switch (it.do) {
    case "enqueue":
      if ("target" in it.content) checkWhole("target", it.content.target);
      if ("replyTo" in it.content) checkWhole("replyTo", it.content.replyTo);
      break;
    case "read":
      checkedSeq(it.seq);
      break;
    case "history":
      for (const [name, value] of Object.entries(it.anchor)) checkWhole(name, value as unknown);
      checkWhole("limit", it.limit);
      break;
    case "watch":
      for (const user of it.users) checkedUser(user);
      break;
    default:
  }
  return command;
}

/**
 * Passes a sequence.
 *
 * @throws {UsageError} It is none.
 */
export function checkedSeq(seq: Seq): Seq {
  checkWhole("seq", seq);
  return seq;
}

/**
 * Sequences, times and counts; one that is absent is left to its default.
 *
 * @throws {UsageError} It is none.
 */
export function checkWhole(name: string, value: unknown): void {
  if (value === undefined || (Number.isSafeInteger(value) && (value as number) >= 0)) return;
  throw new UsageError(`${name} is ${shown(value)}: it must be a whole number from 0 to 2^53 - 1`);
}

function shown(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value.slice(0, 100)) : String(value);
}

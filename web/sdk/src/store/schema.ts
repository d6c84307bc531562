/**
 * What is in the database of an account.
 *
 * @module
 */
import type { Conversation } from "../wire.js";

/** Raised with each change of what is made below. */
export const VERSION = 1;

/** Object stores. */
export const NAMES = [
  /** By conversation and sequence. */
  "messages",
  /** By message id. */
  "outbox",
  /** Of the next resume, by conversation. */
  "cursors",
  /** By conversation. */
  "summaries",
  /** By conversation and user. */
  "receipts",
  /** By id. */
  "profiles",
  /** By conversation. */
  "drafts",
  /** By name. */
  "values",
  /** When a conversation was opened last, by conversation. */
  "opened",
] as const;

/** Edits and deletions by conversation and what they change. */
export const BY_TARGET = "target";

/** Makes what is missing. */
export function upgrade(db: IDBDatabase, from: number): void {
  if (from >= 1) return;
  const messages = db.createObjectStore("messages", { keyPath: ["conversation", "seq"] });
  messages.createIndex(BY_TARGET, ["conversation", "target"]);
  db.createObjectStore("outbox", { keyPath: "id" });
  db.createObjectStore("summaries", { keyPath: "conversation" });
  db.createObjectStore("profiles", { keyPath: "id" });
  for (const name of ["cursors", "receipts", "drafts", "values", "opened"]) db.createObjectStore(name);
}

/** All keys `[conversation, …]`. */
export function keysOf(conversation: Conversation): IDBKeyRange {
  // Arrays sort after numbers and texts.
  return IDBKeyRange.bound([conversation], [conversation, []]);
}

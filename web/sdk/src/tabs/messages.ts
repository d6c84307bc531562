/**
 * What tabs say to each other over their BroadcastChannel.
 *
 * @module
 */
import type { Command } from "../engine/engine.js";
import { ServerError, SignedOutError, StoppedError, UnreachableError, UsageError } from "../errors.js";
import type { ClientEvents, Connection } from "../events.js";
import type { Limits, Profile, WireError } from "../wire.js";
import type { Note } from "./seat.js";

/** One page in one tab. */
export type TabId = string;

/** What the leader is asked: a command, or what is in the outbox. */
export type Question = Command | { do: "outbox" };

/** What is said. `tab` says it, unless it is an answer: then it is for that one. */
export type Said =
  /** Who leads? Are you there? With `starts`, a tab is new: a leader that has stopped for good lets another one try. */
  | { say: "who"; tab: TabId; starts?: boolean }
  /** I lead; this is how it stands. */
  | { say: "leads"; tab: TabId; connection: Connection; session?: { user: Profile; limits: Limits } }
  | { say: "ask"; tab: TabId; n: number; question: Question }
  /** The question was heard: the leader is awake. */
  | { say: "taken"; tab: TabId; n: number }
  | { say: "answer"; tab: TabId; n: number; answer: unknown }
  | { say: "refusal"; tab: TabId; n: number; fault: Fault }
  | { say: "event"; tab: TabId; type: keyof ClientEvents; event: unknown }
  | { say: "note"; tab: TabId; note: Note };

/** An error, as plain data. */
export interface Fault {
  name: string;
  message: string;
  server?: WireError;
}

const ERRORS = { UnreachableError, SignedOutError, StoppedError, UsageError };

/** An error for another tab. */
export function faultOf(error: unknown): Fault {
  if (error instanceof ServerError) {
    const { code, message, retryable, retryAfterMs } = error;
    const server: WireError = { code, message, retryable };
    if (retryAfterMs !== undefined) server.retry_after_ms = retryAfterMs;
    return { name: error.name, message, server };
  }
  if (error instanceof Error) return { name: error.name, message: error.message };
  return { name: "Error", message: String(error) };
}

/** The error of another tab. */
export function errorOf({ name, message, server }: Fault): Error {
  if (server !== undefined) return new ServerError(server);
  const Known: new (message: string) => Error = name in ERRORS ? ERRORS[name as keyof typeof ERRORS] : Error;
  return new Known(message);
}

/**
 * What comes in over the socket, as typed frames; and what the codes of its close mean.
 *
 * @module
 */
import type { Reason } from "../events.js";
import type { ServerFrame } from "../wire.js";

type Kind = "string" | "number" | "boolean" | "array" | "object";

/** The fields that the engine relies on. A frame without them is garbage; what else is in it is not looked at. */
const RELIED_ON: { [T in ServerFrame["type"]]: Record<string, Kind> } = {
  ready: {
    user: "object",
    limits: "object",
    conversations: "array",
    ping_interval_ms: "number",
    token_expires_at: "number",
    now: "number",
  },
  ack: { id: "string", seq: "number" },
  message: {
    conversation: "string",
    seq: "number",
    prev: "number",
    id: "string",
    sender: "string",
    kind: "string",
  },
  receipts: { conversation: "string", cursors: "array" },
  typing: { conversation: "string", user: "string", active: "boolean" },
  nudge: { conversation: "string", head: "number" },
  presence: { users: "array" },
  draining: { edges: "array", within_ms: "number" },
  truncated: { conversation: "string", cursor: "number", head: "number" },
  resumed: { complete: "boolean" },
  history: { id: "string", conversation: "string", messages: "array", head: "number", more_after: "boolean" },
  conversations: { id: "string", conversations: "array" },
  ok: { id: "string" },
  pong: { id: "string" },
  error: { code: "string", message: "string", retryable: "boolean" },
};

/** The frame in a text; `undefined` for a frame of a newer server and for garbage: it is a sign of life all the same. */
export function decode(text: unknown): ServerFrame | undefined {
  if (typeof text !== "string") return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isRecord(value) || typeof value["type"] !== "string") return undefined;
  if (!Object.hasOwn(RELIED_ON, value["type"])) return undefined;
  const record = value;
  const fields = Object.entries(RELIED_ON[record["type"] as ServerFrame["type"]]);
  return fields.every(([name, kind]) => kindOf(record[name]) === kind)
    ? (record as unknown as ServerFrame)
    : undefined;
}

/** Codes with a meaning of their own; the others go by their range. */
export const CLOSE = {
  shutdown: 3001,
  tokenExpired: 3005,
  slow: 3008,
  noPong: 3012,
  unavailable: 3013,
  badToken: 3500,
  revoked: 3503,
  tooManyConnections: 3504,
} as const;

/** Whether to come back after a close with that code: 3500–3999 say no. */
export function reconnects(code: number | undefined): boolean {
  return code === undefined || code < 3500 || code > 3999;
}

/** Why there is no connection any more, after a close that says to come back. */
export function reasonOf(code: number | undefined): Reason {
  switch (code) {
    case CLOSE.shutdown:
      return "draining";
    case CLOSE.slow:
      return "slow";
    case CLOSE.noPong:
      return "silent";
    case CLOSE.unavailable:
      return "unavailable";
    default:
      return code !== undefined && code >= 3000 && code < 3500 ? "closed" : "unreachable";
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function kindOf(value: unknown): Kind | undefined {
  if (Array.isArray(value)) return "array";
  if (isRecord(value)) return "object";
  const kind = typeof value;
  return kind === "string" || kind === "number" || kind === "boolean" ? kind : undefined;
}

/**
 * What comes in over the socket, as typed frames; and what the codes of its close mean.
 *
 * @module
 */
import type { Reason } from "../events.js";
import type { ServerFrame } from "../wire.js";

type Check = (value: unknown) => boolean;
type Shape = Record<string, Check>;

const isText: Check = (value) => typeof value === "string";
const isNumber: Check = (value) => typeof value === "number";
const isFlag: Check = (value) => typeof value === "boolean";
const isList: Check = (value) => Array.isArray(value);
/** A place in a conversation: a sequence, or 0 for none. */
const isPlace: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const maybe =
  (check: Check): Check =>
  (value) =>
    value === undefined || value === null || check(value);
const isOf =
  (shape: Shape): Check =>
  (value) =>
    isRecord(value) && Object.entries(shape).every(([name, check]) => check(value[name]));

const isCursor = isOf({ delivered: isPlace, read: isPlace });
const isProfile = isOf({ id: isText, name: isText });
const MESSAGE: Shape = {
  conversation: isText,
  seq: isPlace,
  prev: isPlace,
  id: isText,
  sender: isText,
  sent_at: isNumber,
  kind: isText,
  text: maybe(isText),
  reply_to: maybe(isPlace),
  edited: maybe(isPlace),
  deleted: maybe(isPlace),
};
/** What a message of its kind has beside that; one of a newer server may have anything. */
const OF_KIND: Record<string, Check> = {
  edit: isOf({ target: isPlace }),
  delete: isOf({ target: isPlace }),
  duplicate: isOf({ target: isPlace }),
  event: isOf({ event: isOf({ type: isText }) }),
};
const isMessage: Check = (value) => {
  if (!isOf(MESSAGE)(value)) return false;
  const { kind } = value as { kind: string };
  return !Object.hasOwn(OF_KIND, kind) || OF_KIND[kind]!(value);
};
const isSummary = isOf({
  conversation: isText,
  head: isPlace,
  unread: isNumber,
  cursor: isCursor,
  last_message: maybe(isOf({ seq: isPlace, sender: isText, sent_at: isNumber, kind: isText })),
  peer: maybe(isProfile),
  peer_cursor: maybe(isCursor),
});

/** The fields that the client relies on. A frame without them is garbage; what else is in it is not looked at. */
const RELIED_ON: { [T in ServerFrame["type"]]: Shape } = {
  ready: {
    user: isProfile,
    limits: isOf({ text_chars_max: isNumber, watch_users_max: isNumber, sends_in_flight_max: isNumber }),
    conversations: isList,
    ping_interval_ms: isNumber,
    token_expires_at: isNumber,
    now: isNumber,
  },
  ack: { id: isText, seq: isPlace },
  message: MESSAGE,
  receipts: { conversation: isText, cursors: isList },
  typing: { conversation: isText, user: isText, active: isFlag },
  nudge: { conversation: isText, head: isPlace },
  presence: { users: isList },
  draining: { edges: isList, within_ms: isNumber },
  truncated: { conversation: isText, cursor: isPlace, head: isPlace },
  resumed: { complete: isFlag },
  history: { id: isText, conversation: isText, messages: isList, head: isPlace, more_after: isFlag },
  conversations: { id: isText, conversations: isList },
  ok: { id: isText },
  pong: { id: isText },
  error: { code: isText, message: isText, retryable: isFlag, id: maybe(isText) },
};

/** What the elements of lists must be. One that is not is left out, and the others count. */
const ELEMENTS: { [T in ServerFrame["type"]]?: Shape } = {
  ready: { conversations: isSummary },
  receipts: { cursors: isOf({ user: isText, delivered: isPlace, read: isPlace }) },
  presence: { users: isOf({ user: isText, state: isText }) },
  draining: { edges: isText },
  history: { messages: isMessage },
  conversations: { conversations: isSummary },
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
  const type = value["type"] as ServerFrame["type"];
  if (!isOf(RELIED_ON[type])(value)) return undefined;
  if (type === "message" && !isMessage(value)) return undefined;
  for (const [name, check] of Object.entries(ELEMENTS[type] ?? {})) {
    const list = value[name] as unknown[];
    if (!list.every(check)) value[name] = list.filter(check);
  }
  return value as unknown as ServerFrame;
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

/**
 * What goes into the machine and what comes out.
 *
 * @module
 */
import type { AccessToken } from "../../account/tokens.js";
import type { ClientEvents } from "../../events.js";
import type { Change } from "../../store/store.js";
import type { ClientFrame, Conversation, MessageId, Seq, ServerFrame } from "../../wire.js";
import type { Answers, Command } from "../engine.js";
import type { Backoff } from "../backoff.js";

/** What happens to the machine. */
export type Input =
  | { type: "start" }
  /** The token that {@link Output} `token` asked for. */
  | { type: "token"; token: AccessToken }
  /** There is none. `signed_out`, `revoked`: nor will there be; `unreachable`: whoever gives them could not be asked. */
  | { type: "no_token"; why: "signed_out" | "revoked" | "unreachable" | "token" }
  /** What `edges` asked for: addresses, the best first; `undefined` if nobody could be asked. */
  | { type: "edges"; urls: readonly string[] | undefined }
  /** The socket of that number, which `connect` asked for, stands. */
  | { type: "opened"; socket: number }
  /** It was closed, broke, or could not be opened. */
  | { type: "closed"; socket: number; code: number | undefined }
  /** Something came over it; without a frame, it is only a sign of life. */
  | { type: "heard"; socket: number; frame: ServerFrame | undefined }
  /** What the device says of its network. */
  | { type: "network"; online: boolean }
  | { type: "command"; ticket: number; command: Command }
  /** An entry of the outbox is in the store. */
  | { type: "kept"; id: MessageId }
  /** A batch of messages is in the store, so that these may be confirmed as delivered. */
  | { type: "written"; confirm: readonly (readonly [Conversation, Seq])[] }
  /** The time of the machine's `deadline` has come. */
  | { type: "tick" }
  /** The device slept while the clock of the machine may have stood still. */
  | { type: "awoke" }
  /** The client failed at an input: the connection is not to be relied on. */
  | { type: "broke" }
  | { type: "stop" };

/** What is told to the application, after all changes that were put out before it are in the store. */
export type Telling =
  | { type: "emit"; event: keyof ClientEvents; body: ClientEvents[keyof ClientEvents] }
  | { type: "answer"; ticket: number; answer: Answers[keyof Answers] }
  | { type: "reject"; ticket: number; error: Error };

/** What the machine wants. */
export type Output =
  | Telling
  /** Ask the source for a token; not `refused` again. */
  | { type: "token"; refused: string | undefined }
  /** Ask these servers in turn which edges there are. */
  | { type: "edges"; servers: readonly string[] }
  /** Open a socket, and give its number with all that comes of it. */
  | { type: "connect"; socket: number; server: string }
  | { type: "send"; frame: ClientFrame }
  /** Leave the socket: close it without waiting, and let nothing more of it in. */
  | { type: "close" }
  /** Keep these changes, then tell, then give `back` in. */
  | { type: "keep"; changes: Change[]; tell: Telling[]; back?: Input };

/** Everything that takes time or has a limit. Milliseconds. */
export interface Settings {
  /** How long a source may take for a token. */
  readonly tokenTimeoutMs: number;
  /** How long the handshakes of TCP, TLS and the socket may take together. */
  readonly connectTimeoutMs: number;
  /** How long the answer to `hello` may take. */
  readonly helloTimeoutMs: number;
  /** How long the answer to a question may take, reconnects included. */
  readonly requestTimeoutMs: number;
  /** How long an ack may take before the same message is sent again; beyond the server's own patience (20 s). */
  readonly ackTimeoutMs: number;
  /** How long a server that is doubted may take for the answer to `ping`. */
  readonly probeMs: number;
  /** After how long a connection counts as stable, so that the next loss starts from the first delay again. */
  readonly stableAfterMs: number;
  /** How long receipts are gathered. */
  readonly receiptDelayMs: number;
  /** How long messages are gathered, after a batch of them, into the next one. */
  readonly batchMs: number;
  readonly backoff: Backoff;
}

/** What suits a person before a screen. */
export const DEFAULTS: Settings = {
  tokenTimeoutMs: 30_000,
  connectTimeoutMs: 10_000,
  helloTimeoutMs: 15_000,
  requestTimeoutMs: 20_000,
  ackTimeoutMs: 30_000,
  probeMs: 5_000,
  stableAfterMs: 10_000,
  receiptDelayMs: 200,
  batchMs: 40,
  backoff: { baseMs: 250, maxMs: 20_000 },
};

/** The machine's way out: collects what one input leads to. */
export class Outlet {
  #list: Output[] = [];

  put(output: Output): void {
    this.#list.push(output);
  }

  send(frame: ClientFrame): void {
    this.put({ type: "send", frame });
  }

  emit<K extends keyof ClientEvents>(event: K, body: ClientEvents[K]): void {
    this.put(emitting(event, body));
  }

  keep(changes: Change[], tell: Telling[] = [], back?: Input): void {
    this.put({ type: "keep", changes, tell, ...(back !== undefined && { back }) });
  }

  answer<C extends keyof Answers>(ticket: number, answer: Answers[C]): void {
    this.put({ type: "answer", ticket, answer });
  }

  reject(ticket: number, error: Error): void {
    this.put({ type: "reject", ticket, error });
  }

  /** All since the last time. */
  take(): Output[] {
    const list = this.#list;
    this.#list = [];
    return list;
  }
}

/** An event, to be told. */
export function emitting<K extends keyof ClientEvents>(event: K, body: ClientEvents[K]): Telling {
  return { type: "emit", event, body };
}

/** The earliest of some times of which any may be absent. */
export function earliest(...times: (number | undefined)[]): number | undefined {
  let first: number | undefined;
  for (const time of times) if (time !== undefined && (first === undefined || time < first)) first = time;
  return first;
}

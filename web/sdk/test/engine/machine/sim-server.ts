/**
 * A server in a few lines, for tests of the machine: one user's conversations, one log each, and as many faults as
 * a test wants. It promises what docs/protocol.md promises, and no more.
 *
 * @module
 */
import type {
  ClientFrame,
  Conversation,
  Limits,
  Message,
  MessageId,
  Seq,
  ServerFrame,
} from "../../../src/index.js";

export const ME = "01j9z3m8x2c4v6b8n0q2w4e6r8";
export const PEER = "01j9z3k4m5n6p7q8r9s0t1v2w3";

export const LIMITS: Limits = {
  text_chars_max: 100,
  frame_bytes_max: 1_310_720,
  page_messages_max: 5,
  resume_messages_max: 20,
  name_chars_max: 100,
  group_members_max: 100,
  watch_users_max: 10,
  sends_in_flight_max: 4,
};

/** What goes wrong, until it is set otherwise. */
export interface Faults {
  /** Live messages do not reach the socket. */
  losesTail: boolean;
  /** Live messages do not name their predecessor. */
  forgetsPrev: boolean;
  /** Sends are stored and their acks are lost. */
  losesAcks: boolean;
  /** Sends are refused for the moment. */
  overloaded: boolean;
  /** History cannot be asked. */
  historyAway: boolean;
  /** Tokens that are handed in are not answered. */
  tokensAway: boolean;
}

/** One socket's session. */
export interface Session {
  socket: number;
  live: boolean;
  token: string;
}

export class SimServer {
  readonly faults: Faults = {
    losesTail: false,
    forgetsPrev: false,
    losesAcks: false,
    overloaded: false,
    historyAway: false,
    tokensAway: false,
  };
  readonly logs = new Map<Conversation, Message[]>();
  /** Each id that was stored, with how often its frame came. */
  readonly sent = new Map<MessageId, { seq: Seq; times: number }>();
  /** Everything that clients said, in order. */
  readonly said: ClientFrame[] = [];
  readonly delivered = new Map<Conversation, Seq>();
  readonly read = new Map<Conversation, Seq>();
  session: Session | undefined;
  /** Tokens that are not good (any more). */
  readonly bad = new Set<string>();
  #seq = 0;
  readonly #push: (socket: number, frame: ServerFrame) => void;
  readonly #close: (socket: number, code: number) => void;

  constructor(
    push: (socket: number, frame: ServerFrame) => void,
    close: (socket: number, code: number) => void,
  ) {
    this.#push = push;
    this.#close = close;
  }

  head(conversation: Conversation): Seq {
    return this.logs.get(conversation)?.at(-1)?.seq ?? 0;
  }

  /** Somebody writes. */
  post(conversation: Conversation, sender = PEER, id = `id-${this.#seq + 1}`, text = "text"): Message {
    const log = this.logs.get(conversation) ?? [];
    this.logs.set(conversation, log);
    // Holes: the numbers are shared with conversations of others.
    this.#seq += 1 + (this.#seq % 3);
    const prev = log.at(-1)?.seq ?? 0;
    const base = { conversation, seq: this.#seq, prev, id, sender, sent_at: this.#seq };
    const message: Message = { ...base, kind: "text", text };
    log.push(message);
    const { session, faults } = this;
    if (session?.live && !faults.losesTail) {
      this.#push(session.socket, { type: "message", ...message, prev: faults.forgetsPrev ? 0 : prev });
    }
    return message;
  }

  /** Says again what it said before. */
  repeat(conversation: Conversation): void {
    const message = this.logs.get(conversation)?.[0];
    if (this.session?.live && message !== undefined) {
      this.#push(this.session.socket, { type: "message", ...message });
    }
  }

  nudge(conversation: Conversation): void {
    const head = this.head(conversation);
    if (this.session?.live && head > 0)
      this.#push(this.session.socket, { type: "nudge", conversation, head });
  }

  hear(socket: number, frame: ClientFrame): void {
    this.said.push(frame);
    if (frame.type === "hello") return this.#hello(socket, frame);
    const { session } = this;
    if (session?.socket !== socket || !session.live) return;
    const answer = (answered: ServerFrame): void => this.#push(socket, answered);
    switch (frame.type) {
      case "send":
      case "edit":
      case "delete":
        return this.#send(frame, answer);
      case "history": {
        if (this.faults.historyAway) return answer({ type: "error", id: frame.id, ...UNAVAILABLE });
        const { conversation, id, after = 0 } = frame;
        const rest = (this.logs.get(conversation) ?? []).filter((message) => message.seq > after);
        const messages = rest.slice(0, LIMITS.page_messages_max);
        const more_after = rest.length > messages.length;
        const head = this.head(conversation);
        return answer({
          type: "history",
          id,
          conversation,
          messages,
          head,
          more_before: after > 0,
          more_after,
        });
      }
      case "conversations":
        return answer({ type: "conversations", id: frame.id, conversations: this.#summaries() });
      case "token":
        if (this.faults.tokensAway) return;
        session.token = frame.token;
        return answer({ type: "ok", id: frame.id });
      case "watch":
        return answer({ type: "presence", id: frame.id, users: [] });
      case "ping":
        return answer({ type: "pong", id: frame.id });
      case "receipt":
        rise(this.delivered, frame.conversation, frame.delivered);
        rise(this.read, frame.conversation, frame.read);
        return;
      default:
    }
  }

  #hello(socket: number, frame: ClientFrame & { type: "hello" }): void {
    if (this.bad.has(frame.token)) return this.#close(socket, 3005);
    this.session = { socket, live: true, token: frame.token };
    const conversations = this.#summaries();
    this.#push(socket, {
      type: "ready",
      user: { id: ME, name: "Me" },
      session: "s",
      device: "d",
      edge: "e",
      server: "sim",
      limits: LIMITS,
      ping_interval_ms: 25_000,
      token_expires_at: 900_000,
      now: 0,
      conversations,
    });
    if (frame.resume === undefined) return;
    for (const [conversation, log] of this.logs) {
      const cursor = frame.resume[conversation] ?? 0;
      const missed = log.filter((message) => message.seq > cursor);
      const replayed = missed.slice(0, LIMITS.resume_messages_max);
      for (const message of replayed) this.#push(socket, { type: "message", ...message });
      if (replayed.length < missed.length) {
        const [reached, head] = [replayed.at(-1)!.seq, this.head(conversation)];
        this.#push(socket, { type: "truncated", conversation, cursor: reached, head });
      }
    }
    this.#push(socket, { type: "resumed", complete: true });
  }

  #send(
    frame: ClientFrame & { type: "send" | "edit" | "delete" },
    answer: (frame: ServerFrame) => void,
  ): void {
    const before = this.sent.get(frame.id);
    if (before === undefined && this.faults.overloaded) {
      return answer({ type: "error", id: frame.id, ...UNAVAILABLE });
    }
    const text = frame.type === "delete" ? "" : frame.text;
    const stored = before ?? { seq: this.post(frame.conversation, ME, frame.id, text).seq, times: 0 };
    stored.times += 1;
    this.sent.set(frame.id, stored);
    if (!this.faults.losesAcks) answer({ type: "ack", id: frame.id, seq: stored.seq });
  }

  #summaries(): (ServerFrame & { type: "ready" })["conversations"] {
    return [...this.logs.keys()].map((conversation) => ({
      conversation,
      head: this.head(conversation),
      unread: 0,
      cursor: { delivered: 0, read: 0 },
    }));
  }
}

const UNAVAILABLE = { code: "unavailable", message: "away", retryable: true, retry_after_ms: 50 } as const;

function rise(map: Map<Conversation, Seq>, conversation: Conversation, seq: Seq | undefined): void {
  if (seq !== undefined) map.set(conversation, Math.max(map.get(conversation) ?? 0, seq));
}

/**
 * People with accounts, made over HTTP, who write through sockets of their own as fast as the server takes it.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { WebSocket } from "ws";
import type {
  ClientFrame,
  GroupId,
  Message,
  Page,
  Profile,
  Seq,
  ServerFrame,
  Summary,
  Tokens,
} from "natterjack-sdk";
import { PATIENCE_MS, until } from "./until.js";

/** Everybody's. */
export const PASSWORD = "correct horse battery staple";

/** A fresh message id: a UUID of version 7 (RFC 9562). */
export function messageId(now = Date.now()): string {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(now, 0, 6);
  bytes[6] = 0x70 | (bytes[6]! & 0x0f);
  bytes[8] = 0x80 | (bytes[8]! & 0x3f);
  const hex = bytes.toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

function handleFor(name: string): string {
  const plain = name
    .normalize("NFD")
    .toLowerCase()
    .replace(/[^a-z0-9]/g, "");
  return `${plain.slice(0, 20) || "user"}-${randomBytes(3).toString("hex")}`;
}

/** A person, on one device. */
export class User {
  readonly server: string;
  readonly handle: string;
  readonly name: string;
  readonly id: string;
  readonly tokens: Tokens;

  private constructor(server: string, handle: string, tokens: Tokens) {
    this.server = server;
    this.handle = handle;
    this.name = tokens.user.name;
    this.id = tokens.user.id;
    this.tokens = tokens;
  }

  /** A new account. Without a handle it gets one with a random end, so that tests can share a server. */
  static async signUp(server: string, name: string, handle = handleFor(name)): Promise<User> {
    const device = { name: "test", platform: "test" };
    const tokens = await call<Tokens>(server, "POST", "/v1/signup", {
      handle,
      password: PASSWORD,
      name,
      device,
    });
    return new User(server, handle, tokens);
  }

  /** One more device of whoever has that handle. */
  static async logIn(server: string, handle: string): Promise<User> {
    const device = { name: "test", platform: "test" };
    const tokens = await call<Tokens>(server, "POST", "/v1/login", { handle, password: PASSWORD, device });
    return new User(server, handle, tokens);
  }

  get profile(): Profile {
    return this.tokens.user;
  }

  /** The 1:1 chat with another. */
  dm(other: User): string {
    const [a, b] = [this.id, other.id].sort();
    return `dm.${a}.${b}`;
  }

  /** Any request to the API, as this user. */
  call<T>(method: string, path: string, body?: unknown): Promise<T> {
    return call<T>(this.server, method, path, body, this.tokens.access_token);
  }

  async group(title: string, members: User[]): Promise<string> {
    const users = members.map((member) => member.id);
    return (await this.call<Summary>("POST", "/v1/groups", { title, members: users })).conversation;
  }

  /** Sends over HTTP. */
  async say(conversation: string, text: string, replyTo?: Seq): Promise<Seq> {
    const body = { id: messageId(), text, ...(replyTo === undefined ? {} : { reply_to: replyTo }) };
    return (await this.call<{ seq: Seq }>("POST", `/v1/conversations/${conversation}/messages`, body)).seq;
  }

  async edit(conversation: string, seq: Seq, text: string): Promise<void> {
    await this.call("PATCH", `/v1/conversations/${conversation}/messages/${seq}`, { id: messageId(), text });
  }

  async delete(conversation: string, seq: Seq): Promise<void> {
    await this.call("DELETE", `/v1/conversations/${conversation}/messages/${seq}?id=${messageId()}`);
  }

  async read(conversation: string, seq: Seq): Promise<void> {
    await this.call("POST", `/v1/conversations/${conversation}/receipts`, { read: seq, active: true });
  }

  summary(conversation: string): Promise<Summary> {
    return this.call("GET", `/v1/conversations/${conversation}`);
  }

  async rename(group: GroupId, title: string): Promise<void> {
    await this.call("PATCH", `/v1/groups/${group}`, { title });
  }

  /** The whole history, page by page. */
  async history(conversation: string): Promise<Message[]> {
    const all: Message[] = [];
    for (;;) {
      const after = all.at(-1)?.seq ?? 0;
      const page = await this.call<Page>(
        "GET",
        `/v1/conversations/${conversation}/messages?after=${after}&limit=200`,
      );
      all.push(...page.messages);
      if (!page.more_after) return all;
    }
  }

  /** A socket that writes and reads without a client behind it. */
  socket(server = this.server): Promise<RawSocket> {
    return RawSocket.open(server, this.tokens.access_token);
  }
}

async function call<T>(
  server: string,
  method: string,
  path: string,
  body?: unknown,
  token?: string,
): Promise<T> {
  const answer = await fetch(server + path, {
    method,
    headers: {
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  return JSON.parse(text) as T;
}

/** A socket after `ready`. What it hears stays in {@link heard}. */
export class RawSocket {
  readonly heard: ServerFrame[] = [];
  private readonly waiting = new Map<string, { done: (seq: Seq) => void; fail: (error: Error) => void }>();
  private readonly socket: WebSocket;

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on("message", (data) => this.take(JSON.parse(String(data)) as ServerFrame));
    socket.on("close", (code) => {
      for (const { fail } of this.waiting.values()) fail(new Error(`the socket closed with ${code}`));
    });
  }

  static async open(server: string, token: string): Promise<RawSocket> {
    const socket = new WebSocket(`${server.replace("http", "ws")}/v1/ws`);
    const raw = new RawSocket(socket);
    await new Promise((resolve, reject) => {
      socket.once("open", resolve);
      socket.once("error", reject);
    });
    raw.put({ type: "hello", token, active: false });
    // What others say before it need not come this way.
    await until("the socket is ready", () => raw.heard.some((frame) => frame.type === "ready"));
    return raw;
  }

  put(frame: ClientFrame): void {
    this.socket.send(JSON.stringify(frame));
  }

  /** Sends a text; resolves with its place once it is on disk. */
  say(conversation: string, text: string): Promise<Seq> {
    const id = messageId();
    return new Promise((done, fail) => {
      this.waiting.set(id, { done, fail });
      this.put({ type: "send", id, conversation, text });
    });
  }

  /** Sends all of them in order, as fast as they are taken. */
  async fill(conversation: string, texts: string[]): Promise<Seq[]> {
    const seqs: Seq[] = [];
    const step = 50;
    for (let at = 0; at < texts.length; at += step) {
      const some = texts.slice(at, at + step).map((text) => this.say(conversation, text));
      seqs.push(...(await Promise.all(some)));
    }
    return seqs;
  }

  close(): void {
    this.socket.close();
  }

  private take(frame: ServerFrame): void {
    if (frame.type === "ack" || (frame.type === "error" && frame.id !== undefined)) {
      const waiting = this.waiting.get(frame.id ?? "");
      this.waiting.delete(frame.id ?? "");
      if (frame.type === "ack") waiting?.done(frame.seq);
      else waiting?.fail(new Error(`${frame.code}: ${frame.message}`));
      return;
    }
    this.heard.push(frame);
  }
}

/**
 * A made-up server: it takes WebSockets, and says of everything else that it is away.
 *
 * @module
 */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";
import type { JsonObject } from "./script.js";

/** Something that one waits for, in the order in which it came. */
export class Queue<T> {
  private readonly items: T[] = [];
  private wake: () => void = () => undefined;

  put(item: T): void {
    this.items.push(item);
    this.wake();
  }

  get size(): number {
    return this.items.length;
  }

  /** The next one. */
  async next(what: string, patienceMs = 20_000): Promise<T> {
    const deadline = performance.now() + patienceMs;
    while (this.items.length === 0) {
      const left = deadline - performance.now();
      if (left <= 0) throw new Error(`waited in vain for: ${what}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return this.items.shift() as T;
  }
}

/** A connection; `undefined` among its frames is its end. */
export class Line {
  readonly edge: string;
  readonly frames = new Queue<JsonObject | undefined>();
  private readonly socket: WebSocket;
  private frozen = false;

  constructor(edge: string, socket: WebSocket) {
    this.edge = edge;
    this.socket = socket;
    socket.on("message", (data) => {
      if (!this.frozen) this.frames.put(JSON.parse(String(data)) as JsonObject);
    });
    socket.on("close", () => this.frames.put(undefined));
    socket.on("error", () => undefined);
  }

  say(frame: unknown): void {
    this.socket.send(JSON.stringify(frame));
  }

  close(code: number): void {
    this.socket.close(code);
  }

  /** It breaks, without a goodbye. */
  cut(): void {
    this.socket.terminate();
  }

  /** It stands, and nothing passes any more. */
  freeze(): void {
    this.frozen = true;
    this.socket.pause();
  }
}

/** One edge. Its connections go into a queue that several share. */
export class MadeUpEdge {
  readonly url: string;
  private readonly server: Server;
  private readonly sockets: WebSocketServer;

  private constructor(server: Server, lines: Queue<Line>) {
    this.server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    this.sockets = new WebSocketServer({ server, path: "/v1/ws" });
    this.sockets.on("connection", (socket) => lines.put(new Line(this.url, socket)));
  }

  static async open(lines: Queue<Line>): Promise<MadeUpEdge> {
    const server = createServer((_, response) => {
      response.writeHead(503, { "content-type": "application/json", connection: "close" });
      response.end(JSON.stringify({ code: "unavailable", message: "not here", retryable: true }));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new MadeUpEdge(server, lines);
  }

  close(): void {
    for (const socket of this.sockets.clients) socket.terminate();
    this.sockets.close();
    this.server.close();
  }
}

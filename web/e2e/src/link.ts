/**
 * A TCP link in front of a server, with weather: it can be cut, hold everything up, or be slow.
 *
 * @module
 */
import { createServer, connect, type Server, type Socket } from "node:net";

/**
 * `fair`: it passes. `cut`: connections are reset, and new ones too. `still`: connections stand and nothing
 * passes either way, as when a cable is pulled. A number: everything arrives that many milliseconds later.
 */
export type Weather = "fair" | "cut" | "still" | number;

/** A link on a port of its own. */
export class Link {
  /** Connections that were made through it so far. */
  connections = 0;
  private now: Weather = "fair";
  private readonly pairs = new Set<Pair>();
  private readonly server: Server;
  private upstream: { host: string; port: number } | undefined;

  private constructor(server: Server) {
    this.server = server;
    server.on("connection", (client) => this.accept(client));
  }

  /** A link that leads nowhere yet: see {@link lead}. */
  static async open(): Promise<Link> {
    const server = createServer({ noDelay: true, pauseOnConnect: true });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(0, "127.0.0.1", resolve);
    });
    return new Link(server);
  }

  /** Where it listens, `http://127.0.0.1:<port>`. */
  get url(): string {
    const address = this.server.address();
    if (address === null || typeof address === "string") throw new Error("the link is closed");
    return `http://127.0.0.1:${address.port}`;
  }

  /** Where it leads from now on. */
  lead(url: string): void {
    const { hostname, port } = new URL(url);
    this.upstream = { host: hostname, port: Number(port) };
  }

  get weather(): Weather {
    return this.now;
  }

  /** The weather from now on, for connections that stand too. */
  set(weather: Weather): void {
    this.now = weather;
    for (const pair of this.pairs) pair.weather(weather);
  }

  async close(): Promise<void> {
    this.set("cut");
    await new Promise((resolve) => this.server.close(resolve));
  }

  private accept(client: Socket): void {
    if (this.now === "cut" || this.upstream === undefined) {
      client.on("error", () => undefined);
      client.resetAndDestroy();
      return;
    }
    this.connections += 1;
    const pair = new Pair(client, connect({ ...this.upstream, noDelay: true }));
    this.pairs.add(pair);
    pair.ended = () => this.pairs.delete(pair);
    pair.weather(this.now);
  }
}

/** One connection: two sockets that are piped into each other. */
class Pair {
  ended: () => void = () => undefined;
  private readonly sockets: [Socket, Socket];
  private delayMs = 0;

  constructor(client: Socket, server: Socket) {
    this.sockets = [client, server];
    this.pump(client, server);
    this.pump(server, client);
  }

  weather(weather: Weather): void {
    this.delayMs = typeof weather === "number" ? weather : 0;
    for (const socket of this.sockets) {
      if (weather === "cut") socket.resetAndDestroy();
      else if (weather === "still") socket.pause();
      else socket.resume();
    }
  }

  private pump(from: Socket, to: Socket): void {
    const later = (act: () => void) => {
      if (this.delayMs === 0) act();
      else setTimeout(act, this.delayMs);
    };
    from.on("data", (bytes) => later(() => to.writable && to.write(bytes)));
    from.on("end", () => later(() => to.end()));
    from.on("close", () => {
      later(() => to.destroy());
      this.ended();
    });
    from.on("error", () => to.destroy());
  }
}

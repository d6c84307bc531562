/**
 * A TCP link in front of the server that can be cut, frozen, and made to swallow what the client says.
 *
 * @module
 */
import { type AddressInfo, type Server, type Socket, connect, createServer } from "node:net";

/**
 * `fair`: everything passes. `cut`: connections are reset, and new ones too. `frozen`: connections stand and
 * nothing passes either way. `swallowing`: what the server says passes, and what the client says is lost.
 */
export type Weather = "fair" | "cut" | "frozen" | "swallowing";

/** A link on a port of its own. */
export class Link {
  /** Connections that were made through it so far. */
  connections = 0;
  #weather: Weather = "fair";
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  readonly #server: Server;
  readonly #to: { host: string; port: number };

  private constructor(server: Server, to: URL) {
    this.#server = server;
    this.#to = { host: to.hostname, port: Number(to.port) };
    server.on("connection", (client) => this.#accept(client));
  }

  static async open(to: string): Promise<Link> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new Link(server, new URL(to));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The weather from now on, for connections that stand too. */
  set weather(weather: Weather) {
    this.#weather = weather;
    for (const pair of this.#pairs) {
      for (const socket of pair) {
        if (weather === "cut") socket.destroy();
        else if (weather === "frozen") socket.pause();
        else socket.resume();
      }
    }
  }

  async close(): Promise<void> {
    this.weather = "cut";
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(client: Socket): void {
    if (this.#weather === "cut") return void client.destroy();
    this.connections += 1;
    const server = connect(this.#to);
    const pair = [client, server] as const;
    this.#pairs.add(pair);
    client.on("data", (bytes) => this.#weather !== "swallowing" && server.write(bytes));
    server.on("data", (bytes) => client.write(bytes));
    for (const [one, other] of [pair, [server, client] as const]) {
      one.on("error", () => other.destroy());
      one.on("close", () => {
        other.destroy();
        this.#pairs.delete(pair);
      });
      if (this.#weather === "frozen") one.pause();
    }
  }
}

/**
 * One WebSocket at a time, by number. One that is left is closed without waiting and says nothing more: a
 * half-open socket may take minutes to close.
 *
 * @module
 */
import type { SocketLike } from "../client.js";
import type { ClientFrame } from "../wire.js";

/** What comes of a socket. */
export interface SocketEvents {
  opened(socket: number): void;
  heard(socket: number, data: unknown): void;
  closed(socket: number, code: number | undefined): void;
}

const OPEN = 1;

/** Holds the present socket. */
export class Sockets {
  readonly #make: new (url: string) => SocketLike;
  readonly #events: SocketEvents;
  #present: SocketLike | undefined;

  constructor(make: new (url: string) => SocketLike, events: SocketEvents) {
    this.#make = make;
    this.#events = events;
  }

  /** Opens the socket of that number, and leaves the one before. */
  open(number: number, url: string): void {
    this.leave();
    let socket: SocketLike;
    try {
      socket = new this.#make(url);
    } catch {
      // An address that cannot be one, or that the page's policy forbids.
      queueMicrotask(() => this.#events.closed(number, undefined));
      return;
    }
    this.#present = socket;
    socket.onopen = () => this.#events.opened(number);
    socket.onmessage = (event: { data?: unknown }) => this.#events.heard(number, event.data);
    socket.onclose = (event: { code?: number }) => {
      if (this.#present === socket) this.#present = undefined;
      this.#events.closed(number, event.code);
    };
    // The close that follows tells as much as there is to know.
    socket.onerror = () => {};
  }

  send(frame: ClientFrame): void {
    if (this.#present?.readyState === OPEN) this.#present.send(JSON.stringify(frame));
  }

  leave(): void {
    const socket = this.#present;
    if (socket === undefined) return;
    this.#present = undefined;
    socket.onopen = socket.onmessage = socket.onclose = null;
    // Not taken away: Node's `ws` throws an error that nobody hears.
    socket.onerror = () => {};
    try {
      socket.close(1000);
    } catch {
      // It was never open.
    }
  }
}

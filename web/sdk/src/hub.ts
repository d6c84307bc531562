/**
 * Where events are told to those who listen: by name, or all as an async iterator.
 *
 * @module
 */
import type { ClientEvent, ClientEvents } from "./events.js";

type Listener<K extends keyof ClientEvents> = (event: ClientEvents[K]) => void;

/** Listeners of one client. */
export class Hub {
  readonly #listeners = new Map<keyof ClientEvents, Set<Listener<never>>>();
  readonly #streams = new Set<Stream>();

  /** Hears an event until the returned function is called. */
  on<K extends keyof ClientEvents>(type: K, listener: Listener<K>): () => void {
    let listeners = this.#listeners.get(type);
    if (listeners === undefined) this.#listeners.set(type, (listeners = new Set()));
    listeners.add(listener as Listener<never>);
    return () => void listeners.delete(listener as Listener<never>);
  }

  /** Tells it to all; one that throws does not keep it from the others. */
  readonly emit = <K extends keyof ClientEvents>(type: K, event: ClientEvents[K]): void => {
    for (const listener of this.#listeners.get(type) ?? []) {
      try {
        (listener as Listener<K>)(event);
      } catch (error) {
        // A fault of the application, and to be seen as one.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
    for (const stream of this.#streams) stream.push({ type, ...event } as unknown as ClientEvent);
  };

  /** All events from now on. */
  events(): AsyncIterableIterator<ClientEvent> {
    const stream = new Stream(() => this.#streams.delete(stream));
    this.#streams.add(stream);
    return stream;
  }

  /** Ends the streams; what they hold already is still handed out. */
  end(): void {
    for (const stream of this.#streams) stream.end();
  }
}

class Stream implements AsyncIterableIterator<ClientEvent> {
  readonly #events: ClientEvent[] = [];
  readonly #waiting: ((result: IteratorResult<ClientEvent>) => void)[] = [];
  readonly #left: () => void;
  #ended = false;

  constructor(left: () => void) {
    this.#left = left;
  }

  push(event: ClientEvent): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#events.push(event);
    else next({ done: false, value: event });
  }

  end(): void {
    this.#ended = true;
    this.#left();
    for (const next of this.#waiting.splice(0)) next({ done: true, value: undefined });
  }

  next(): Promise<IteratorResult<ClientEvent>> {
    const value = this.#events.shift();
    if (value !== undefined) return Promise.resolve({ done: false, value });
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  return(): Promise<IteratorResult<ClientEvent>> {
    this.#events.length = 0;
    this.end();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

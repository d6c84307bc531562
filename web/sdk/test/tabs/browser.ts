/** A browser's locks and channels, without a browser: tabs that can be frozen, hidden and killed. */
import type { Browser } from "../../src/tabs/shared.js";

type Grant = (lock: Lock | null) => Promise<unknown>;
interface Waiter {
  tab: Tab;
  grant: Grant;
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** All tabs of one origin. */
export class Origin {
  readonly tabs: Tab[] = [];
  readonly held = new Map<string, Waiter>();
  readonly queues = new Map<string, Waiter[]>();

  tab(): Tab {
    const tab = new Tab(this);
    this.tabs.push(tab);
    return tab;
  }

  request(tab: Tab, name: string, options: LockOptions, grant: Grant): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { tab, grant, resolve, reject };
      const holder = this.held.get(name);
      if (options.steal && holder !== undefined) {
        this.held.delete(name);
        holder.reject(new DOMException("stolen", "AbortError"));
      }
      if (!this.held.has(name)) return this.#hold(name, waiter);
      if (options.ifAvailable) return void grant(null).then(resolve, reject);
      const queue = this.queues.get(name) ?? [];
      this.queues.set(name, [...queue, waiter]);
      options.signal?.addEventListener("abort", () => {
        this.#leaveQueue(name, (other) => other === waiter);
        reject(new DOMException("aborted", "AbortError"));
      });
    });
  }

  /** The tab is gone, with all that it held. */
  kill(tab: Tab): void {
    tab.dead = true;
    this.tabs.splice(this.tabs.indexOf(tab), 1);
    for (const name of this.queues.keys()) this.#leaveQueue(name, (waiter) => waiter.tab === tab);
    for (const [name, holder] of this.held) if (holder.tab === tab) this.#free(name, holder);
  }

  #hold(name: string, waiter: Waiter): void {
    this.held.set(name, waiter);
    const done = Promise.resolve(waiter.grant({ name, mode: "exclusive" }));
    done.then(waiter.resolve, waiter.reject).finally(() => this.#free(name, waiter));
  }

  #free(name: string, waiter: Waiter): void {
    if (this.held.get(name) !== waiter) return;
    this.held.delete(name);
    const next = this.queues.get(name)?.shift();
    if (next !== undefined) this.#hold(name, next);
  }

  #leaveQueue(name: string, which: (waiter: Waiter) => boolean): void {
    this.queues.set(
      name,
      (this.queues.get(name) ?? []).filter((waiter) => !which(waiter)),
    );
  }
}

/** One tab. */
export class Tab implements Browser {
  dead = false;
  frozen = false;
  shown = true;
  readonly #origin: Origin;
  readonly #channels: Channel[] = [];

  constructor(origin: Origin) {
    this.#origin = origin;
  }

  readonly locks = {
    request: (name: string, options: LockOptions | Grant, grant?: Grant) =>
      typeof options === "function"
        ? this.#origin.request(this, name, {}, options)
        : this.#origin.request(this, name, options, grant!),
  } as Browser["locks"];

  visible(): boolean {
    // Timers go on here even in a frozen tab: what they would do there, they must not do.
    return this.shown && !this.frozen;
  }

  channel(name: string): BroadcastChannel {
    const channel = new Channel(name, (data) => {
      for (const tab of this.#origin.tabs) if (tab !== this) tab.deliver(name, data);
    });
    this.#channels.push(channel);
    return channel as unknown as BroadcastChannel;
  }

  deliver(name: string, data: unknown): void {
    queueMicrotask(() => {
      if (this.dead || this.frozen) return;
      for (const channel of this.#channels) if (channel.name === name) channel.onmessage?.({ data });
    });
  }
}

class Channel {
  readonly name: string;
  readonly #post: (data: unknown) => void;
  onmessage: ((event: { data: unknown }) => void) | undefined;
  #closed = false;

  constructor(name: string, post: (data: unknown) => void) {
    this.name = name;
    this.#post = post;
  }

  postMessage(data: unknown): void {
    if (!this.#closed) this.#post(structuredClone(data));
  }

  close(): void {
    this.#closed = true;
    this.onmessage = undefined;
  }
}

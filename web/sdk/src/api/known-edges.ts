/**
 * The edges that one client knows of: those that were named to it, and those that are remembered.
 *
 * Memory is a database of the browser, which may be slow or stuck: no request waits for it for long, nor each anew.
 *
 * @module
 */
import { followed } from "../engine/follow.js";
import { type NamedEdges, believed } from "../engine/named.js";

/** How long a request waits for what is remembered; without it, it goes to the configured server alone. */
const RECALL_TIMEOUT_MS = 300;
/** What is remembered is looked at again after so long, while requests are made. */
const RECALLED_MS = 5_000;

/** Where the edges that were named last are kept. */
export interface EdgeMemory {
  /** {@link NamedEdges}, or whatever was kept. */
  get(): Promise<unknown>;
  set?(edges: NamedEdges): Promise<void>;
}

/** What is known of edges. */
export class KnownEdges {
  readonly #configured: string;
  readonly #memory: EdgeMemory | undefined;
  /** The best first, and when they were named. */
  #named: NamedEdges = { at: 0, edges: [] };
  #recalling: Promise<unknown> = Promise.resolve();
  #recalledUntil = 0;

  /** @param memory - Without `set`, somebody else asks for them and sees to it. */
  constructor(configured: string, memory: EdgeMemory | undefined) {
    this.#configured = configured;
    this.#memory = memory;
  }

  /** Whether somebody else asks for them. */
  get isTold(): boolean {
    return this.#memory !== undefined && this.#memory.set === undefined;
  }

  /** Those that are believed, the best first; none while they are not known. */
  async edges(): Promise<readonly string[]> {
    if (this.isTold || this.#believed.length === 0) await this.#recall();
    return this.#believed;
  }

  /** Some were named just now. They are kept when this resolves, if they can be. */
  async learn(urls: readonly string[]): Promise<void> {
    const edges = followed(urls, this.#configured);
    if (edges.length === 0) return;
    this.#named = { at: Date.now(), edges };
    await this.#memory?.set?.(this.#named).catch(() => undefined);
  }

  get #believed(): readonly string[] {
    return believed(this.#named, Date.now());
  }

  #recall(): Promise<unknown> {
    const now = performance.now();
    if (this.#memory !== undefined && now >= this.#recalledUntil) {
      this.#recalledUntil = now + RECALLED_MS;
      this.#recalling = Promise.race([this.#read(this.#memory), slept(RECALL_TIMEOUT_MS)]);
    }
    return this.#recalling;
  }

  /** What comes late is of use to the next request. */
  async #read(memory: EdgeMemory): Promise<void> {
    const kept = await memory.get().catch(() => undefined);
    const edges = followed(believed(kept, Date.now()), this.#configured);
    if (edges.length === 0) return;
    const { at } = kept as NamedEdges;
    // Perhaps there was news meanwhile.
    if (at >= this.#named.at) this.#named = { at, edges };
  }
}

/** Some milliseconds later. */
export function slept(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

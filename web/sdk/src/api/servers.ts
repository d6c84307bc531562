/**
 * To which server an HTTP request goes: the configured one, and an edge that discovery named while that one is gone.
 *
 * A request is repeated at another server only where its {@link Repeat} says that twice is as good as once, for one
 * that broke off may have been done. Any other is given to one server alone: if there is a doubt about it, the question
 * which edges there are goes ahead and finds out who answers.
 *
 * @module
 */
import { followed, plain } from "../engine/follow.js";
import { UnreachableError } from "../errors.js";
import type { EdgeInfo } from "../wire.js";
import { type JsonRequest, fetchJson } from "./fetch-json.js";

/** Servers that one request is given to, at most. */
const ATTEMPTS_MAX = 3;
/** Servers that are asked whether they are there for one request, at most. */
const PROBES_MAX = 3;
/** How long the answer to "which edges are there?" may take. */
const PROBE_TIMEOUT_MS = 3_000;
/** How long an answer may take where others can be asked the same. */
const IMPATIENT_MS = 8_000;
/** A server that answered is not asked whether it is there for so long. */
const TRUSTED_MS = 10_000;
/** A server that did not answer comes after the others for so long. */
const DOUBTED_MS = 30_000;
/** Which edges there are is asked again after so long, while requests are made. */
const FRESH_MS = 60_000;

/**
 * Whether a request that was not answered may be given to another server: `yes`; `unless_late`: not after a time-out,
 * when it is likely that it was done; `no`.
 */
export type Repeat = "yes" | "unless_late" | "no";

/** A request, without the server. */
export interface Going extends Omit<JsonRequest, "url" | "fetch"> {
  path: string;
  repeat: Repeat;
}

/** What servers are known by. */
export interface ServersOptions {
  server: string;
  fetch?: typeof fetch | undefined;
  region?: string | undefined;
  /** Whether other servers than `server` are gone to; true. */
  discover?: boolean | undefined;
  /** What is remembered of edges. Without `set`, somebody else asks for them and sees to it. */
  memory?: EdgeMemory | undefined;
}

/** Where the edges that were named last are kept. */
export interface EdgeMemory {
  get(): Promise<unknown>;
  set?(edges: readonly string[]): Promise<void>;
}

/** The servers of one client. */
export class Servers {
  readonly #configured: string;
  readonly #fetch: typeof fetch | undefined;
  readonly #query: string;
  readonly #discover: boolean;
  readonly #memory: EdgeMemory | undefined;
  /** The best first; empty until they are known. */
  #found: readonly string[] = [];
  #freshUntil = 0;
  /** When each server answered last, and when it did not. */
  readonly #answered = new Map<string, number>();
  readonly #failed = new Map<string, number>();

  constructor({ server, fetch, region, discover, memory }: ServersOptions) {
    this.#configured = plain(server);
    this.#fetch = fetch;
    this.#query = region === undefined ? "" : `?region=${encodeURIComponent(region)}`;
    this.#discover = discover ?? true;
    this.#memory = memory;
  }

  /**
   * Does it, at the first server that can be reached.
   *
   * @throws {ServerError} A server refused it.
   * @throws {UnreachableError} No answer, from any of them or from the one that it may go to.
   */
  async ask(request: Going): Promise<unknown> {
    let servers = await this.#inOrder();
    // Alone, it is asked itself at once.
    if (servers.length === 1) return this.#at(this.#configured, request, false);
    let server = (await this.#alive(servers, request.repeat !== "no")) ?? servers[0];
    for (let attempt = 1; ; attempt += 1) {
      const here = server ?? this.#configured;
      servers = servers.filter((other) => other !== here);
      const impatient = request.repeat === "yes" && servers.length > 0;
      try {
        return await this.#at(here, request, impatient);
      } catch (error) {
        const again = attempt < ATTEMPTS_MAX && servers.length > 0 && mayRepeat(request.repeat, error);
        server = again ? await this.#alive(servers, false) : undefined;
        if (server === undefined) throw error;
      }
    }
  }

  async #at(server: string, { path, ...request }: Going, impatient: boolean): Promise<unknown> {
    const timeoutMs = impatient ? Math.min(request.timeoutMs, IMPATIENT_MS) : request.timeoutMs;
    try {
      const answer = await fetchJson({ ...request, timeoutMs, url: server + path, fetch: this.#fetch });
      this.#is(server, true);
      // Nobody waits for it, and it fails quietly: it is for the next time.
      if (this.#learns()) void this.#probe(server);
      return answer;
    } catch (error) {
      this.#is(server, !(error instanceof UnreachableError));
      throw error;
    }
  }

  /** The first of the servers, or, if it is not sure to be there, the first that answers. */
  async #alive(servers: readonly string[], hopes: boolean): Promise<string | undefined> {
    const [first] = servers;
    if (first === undefined || this.#isTrusted(first, hopes)) return first;
    for (const server of servers.slice(0, PROBES_MAX)) if (await this.#probe(server)) return server;
    return undefined;
  }

  /** Whether it need not be asked. With `hopes`, it need not have answered yet. */
  #isTrusted(server: string, hopes: boolean): boolean {
    if (this.#isDoubted(server)) return false;
    return hopes || Date.now() < (this.#answered.get(server) ?? 0) + TRUSTED_MS;
  }

  #isDoubted(server: string): boolean {
    return Date.now() < (this.#failed.get(server) ?? 0) + DOUBTED_MS;
  }

  /** Those that did not answer just now come last: the configured one first, then the best of the edges. */
  async #inOrder(): Promise<string[]> {
    const all = [this.#configured, ...(await this.#edges()).filter((edge) => edge !== this.#configured)];
    return [
      ...all.filter((server) => !this.#isDoubted(server)),
      ...all.filter((server) => this.#isDoubted(server)),
    ];
  }

  async #edges(): Promise<readonly string[]> {
    if (!this.#discover) return [];
    const known = this.#found.length > 0 && this.#memory?.set !== undefined;
    if (known || this.#memory === undefined) return this.#found;
    const kept = await this.#memory.get().catch(() => undefined);
    if (Array.isArray(kept)) this.#found = followed(kept as string[], this.#configured);
    return this.#found;
  }

  /** Whether it is time to ask who else is there. */
  #learns(): boolean {
    const isTold = this.#memory !== undefined && this.#memory.set === undefined;
    return this.#discover && !isTold && Date.now() >= this.#freshUntil;
  }

  /** Asks a server which edges there are; whether it answered. */
  async #probe(server: string): Promise<boolean> {
    this.#freshUntil = Date.now() + FRESH_MS;
    try {
      const url = `${server}/v1/edges${this.#query}`;
      const told = await fetchJson({ url, timeoutMs: PROBE_TIMEOUT_MS, fetch: this.#fetch });
      this.#is(server, true);
      await this.#learn(told as EdgeInfo[]);
      return true;
    } catch {
      // Also one that answers, and has lost the others: it can do nothing for anybody.
      this.#is(server, false);
      return false;
    }
  }

  async #learn(told: EdgeInfo[]): Promise<void> {
    if (!Array.isArray(told)) return;
    const edges = followed(
      told.map((edge) => edge.url),
      this.#configured,
    );
    if (edges.length === 0) return;
    this.#found = edges;
    await this.#memory?.set?.(edges).catch(() => undefined);
  }

  #is(server: string, there: boolean): void {
    this.#answered.delete(server);
    this.#failed.delete(server);
    (there ? this.#answered : this.#failed).set(server, Date.now());
  }
}

function mayRepeat(repeat: Repeat, error: unknown): boolean {
  if (repeat === "no" || !(error instanceof UnreachableError)) return false;
  return repeat === "yes" || !(error.cause instanceof Error && error.cause.name === "TimeoutError");
}

/**
 * To which server an HTTP request goes: the configured one, and an edge that discovery named while that one is gone.
 *
 * A request is repeated at another server only where its {@link Repeat} says that twice is as good as once, for one
 * that broke off may have been done. Any other is given to one server alone: if there is a doubt about it, the question
 * which edges there are goes ahead and finds out who answers.
 *
 * @module
 */
import { plain } from "../engine/follow.js";
import { UnreachableError } from "../errors.js";
import type { EdgeInfo } from "../wire.js";
import { type JsonRequest, fetchJson } from "./fetch-json.js";
import { type EdgeMemory, KnownEdges, slept } from "./known-edges.js";

/** Servers that one request is given to, at most. */
const ATTEMPTS_MAX = 3;
/** Servers that are asked whether they are there for one request, at most. */
const PROBES_MAX = 3;
/** How long finding out who is there may take, and never more than half of the time that the request has left. */
const PROBE_TIMEOUT_MS = 3_000;
/** So much earlier than the next one is each asked whether it is there: the best is taken unless it is slow. */
const HEAD_START_MS = 250;
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
  /** For what no server should see without need, such as a password: an edge is asked if the configured one is gone. */
  configuredFirst?: boolean;
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

/** The servers of one client. */
export class Servers {
  readonly #configured: string;
  readonly #fetch: typeof fetch | undefined;
  readonly #query: string;
  readonly #known: KnownEdges | undefined;
  #freshUntil = 0;
  /** When each server answered last, and when it did not. */
  readonly #answered = new Map<string, number>();
  readonly #failed = new Map<string, number>();

  constructor({ server, fetch, region, discover, memory }: ServersOptions) {
    this.#configured = plain(server);
    this.#fetch = fetch;
    this.#query = region === undefined ? "" : `?region=${encodeURIComponent(region)}`;
    this.#known = (discover ?? true) ? new KnownEdges(this.#configured, memory) : undefined;
  }

  /**
   * Does it, at the first server that can be reached, and within its time: what is asked ahead counts.
   *
   * @throws {ServerError} A server refused it.
   * @throws {UnreachableError} No answer, from any of them or from the one that it may go to.
   */
  async ask(request: Going): Promise<unknown> {
    const endsAt = performance.now() + request.timeoutMs;
    let servers = await this.#inOrder(request);
    // Alone, it is asked itself at once.
    if (servers.length === 1) return this.#at(this.#configured, request, endsAt);
    let server = (await this.#alive(servers, request, request.repeat !== "no", endsAt)) ?? servers[0];
    for (let attempt = 1; ; attempt += 1) {
      const here = server ?? this.#configured;
      servers = servers.filter((other) => other !== here);
      const impatient = request.repeat === "yes" && servers.length > 0;
      try {
        const patience = impatient ? IMPATIENT_MS : request.timeoutMs;
        return await this.#at(here, request, Math.min(performance.now() + patience, endsAt));
      } catch (error) {
        const again =
          attempt < ATTEMPTS_MAX && performance.now() < endsAt && mayRepeat(request.repeat, error);
        server = again ? await this.#alive(servers, request, false, endsAt) : undefined;
        if (server === undefined) throw error;
      }
    }
  }

  async #at(server: string, { path, ...request }: Going, endsAt: number): Promise<unknown> {
    const url = server + path;
    try {
      const answer = await fetchJson({ ...request, timeoutMs: leftMs(endsAt), url, fetch: this.#fetch });
      this.#is(server, true);
      // Nobody waits for it, and it fails quietly: it is for the next time.
      if (this.#learns()) void this.#probe(server, PROBE_TIMEOUT_MS);
      return answer;
    } catch (error) {
      this.#is(server, !(error instanceof UnreachableError));
      throw error;
    }
  }

  /** The first of the servers, or, if it is not sure to be there, the first that answers. */
  async #alive(
    servers: readonly string[],
    { configuredFirst = false }: Going,
    hopes: boolean,
    endsAt: number,
  ): Promise<string | undefined> {
    const [first, ...others] = servers;
    if (first === undefined || this.#isTrusted(first, hopes)) return first;
    const there = (some: readonly string[]): Promise<string | undefined> =>
      this.#there(some, performance.now() + Math.min(PROBE_TIMEOUT_MS, leftMs(endsAt) / 2));
    // The others are to see nothing as long as it may be there.
    if (configuredFirst && first === this.#configured)
      return (await there([first])) ?? (await there(others.slice(0, PROBES_MAX - 1)));
    return there(servers.slice(0, PROBES_MAX));
  }

  /** The first to answer. All are asked, each a bit later than the one before, or once that one is not there. */
  async #there(servers: readonly string[], endsAt: number): Promise<string | undefined> {
    let found: string | undefined;
    let turn: Promise<unknown> = Promise.resolve();
    const asked = servers.map((server) => {
      const answer = turn.then(async () => {
        if (found !== undefined || !(await this.#probe(server, leftMs(endsAt))))
          throw new UnreachableError("");
        found ??= server;
      });
      const isOver = turn.then(() => slept(HEAD_START_MS));
      turn = Promise.race([isOver, answer.catch(() => undefined)]);
      return answer;
    });
    await Promise.any(asked).catch(() => undefined);
    return found;
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
  async #inOrder({ configuredFirst = false }: Going): Promise<string[]> {
    const edges = (await this.#known?.edges()) ?? [];
    const all = [this.#configured, ...edges.filter((edge) => edge !== this.#configured)];
    const isLate = (server: string): boolean =>
      this.#isDoubted(server) && !(configuredFirst && server === this.#configured);
    return [...all.filter((server) => !isLate(server)), ...all.filter(isLate)];
  }

  /** Whether it is time to ask who else is there. */
  #learns(): boolean {
    return this.#known !== undefined && !this.#known.isTold && Date.now() >= this.#freshUntil;
  }

  /** Asks a server which edges there are; whether it answered. */
  async #probe(server: string, timeoutMs: number): Promise<boolean> {
    this.#freshUntil = Date.now() + FRESH_MS;
    try {
      const url = `${server}/v1/edges${this.#query}`;
      const told = (await fetchJson({ url, timeoutMs, fetch: this.#fetch })) as EdgeInfo[];
      this.#is(server, true);
      if (Array.isArray(told)) void this.#known?.learn(told.map((edge) => edge.url));
      return true;
    } catch {
      // Also one that answers, and has lost the others: it can do nothing for anybody.
      this.#is(server, false);
      return false;
    }
  }

  #is(server: string, there: boolean): void {
    this.#answered.delete(server);
    this.#failed.delete(server);
    (there ? this.#answered : this.#failed).set(server, Date.now());
  }
}

function mayRepeat(repeat: Repeat, error: unknown): boolean {
  if (repeat === "no" || !(error instanceof UnreachableError)) return false;
  return repeat === "yes" || !error.late;
}

/** Until a time of the clock that never falls: whole, and never none. */
function leftMs(endsAt: number): number {
  return Math.max(Math.ceil(endsAt - performance.now()), 1);
}

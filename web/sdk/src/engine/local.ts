/**
 * The engine of the tab that holds the connection: a thin actor around the state machine. It owns the socket, the
 * timer and the way to the store, and does what the machine says.
 *
 * @module
 */
import type { AccessToken } from "../account/tokens.js";
import type { SocketLike } from "../client.js";
import { SignedOutError, UnreachableError, UsageError } from "../errors.js";
import type { ClientEvents, Connection, OutboxEntry } from "../events.js";
import type { EdgeInfo, HelloDevice, Profile } from "../wire.js";
import { deviceName } from "../account/device.js";
import { fetchJson } from "../api/fetch-json.js";
import type { Answers, Command, Engine, EngineParts } from "./engine.js";
import { decode } from "./frames.js";
import { Ledger } from "./ledger.js";
import { DEFAULTS, type Input, type Output, type Settings, type Telling } from "./machine/io.js";
import { Machine } from "./machine/machine.js";
import { type Remembered, VALUES } from "./machine/parts.js";
import { believed } from "./named.js";
import { socketAddress } from "./route.js";
import { Sockets } from "./socket.js";
import { listen } from "./surroundings.js";
import { messageIds } from "./uuid.js";

/** How long one server may take to tell which edges there are. */
const EDGES_TIMEOUT_MS = 3_000;

/** By so much the time of day runs ahead of the clock that never falls: the device slept, for that may stand still. */
const SLEPT_MS = 5_000;

interface Waiting {
  resolve(answer: never): void;
  reject(error: Error): void;
}

/** A connection of this tab's own. It begins to connect when it is made. */
export class LocalEngine implements Engine {
  readonly #parts: EngineParts;
  readonly #ledger: Ledger;
  readonly #sockets: Sockets;
  readonly #answers = new Map<number, Waiting>();
  readonly #started: Promise<Machine>;
  #machine: Machine | undefined;
  #tickets = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerAt: number | undefined;
  #deaf: () => void = () => {};
  /** Inputs that came while one was being worked on. */
  readonly #inputs: Input[] = [];
  #working = false;
  /** By how much the time of day was ahead of the clock that never falls. */
  #aheadMs = Date.now() - performance.now();

  /** @param settings - Times and limits that are not to be the usual ones; for tests. */
  constructor(parts: EngineParts, settings: Partial<Settings> = {}) {
    this.#parts = parts;
    const failed = (error: Error): void => this.#emit("storage", { error });
    this.#ledger = new Ledger(parts.store, failed);
    const make =
      parts.options.WebSocket ?? (globalThis.WebSocket as unknown as new (url: string) => SocketLike);
    if (make === undefined)
      throw new UsageError("there is no WebSocket here: pass one, such as that of `ws`");
    this.#sockets = new Sockets(make, {
      opened: (socket) => this.#input({ type: "opened", socket }),
      heard: (socket, data) => this.#input({ type: "heard", socket, frame: decode(data) }),
      closed: (socket, code) => this.#input({ type: "closed", socket, code }),
    });
    this.#started = this.#start({ ...DEFAULTS, ...settings });
  }

  get connection(): Connection {
    return this.#machine?.connection ?? { state: "idle" };
  }

  async ask<C extends Command>(command: C): Promise<Answers[C["do"]]> {
    await this.#started;
    return new Promise((resolve, reject) => {
      this.#tickets += 1;
      this.#answers.set(this.#tickets, { resolve, reject });
      this.#input({ type: "command", ticket: this.#tickets, command });
    });
  }

  async outbox(): Promise<OutboxEntry[]> {
    return (await this.#started).outbox();
  }

  /** Ends the connection; resolves once the store has all that was heard. The store stays open. */
  async stop(): Promise<void> {
    await this.#started;
    this.#deaf();
    this.#input({ type: "stop" });
    await this.#ledger.settled();
    clearTimeout(this.#timer);
  }

  /** Reads what the last run left and begins to connect. */
  async #start(settings: Settings): Promise<Machine> {
    const { options, opening } = this.#parts;
    const { server, discover, name } = options;
    const wall = (): number => Date.now();
    const device = (token: AccessToken): HelloDevice | undefined =>
      token.device === undefined ? undefined : { id: token.device, ...deviceName() };
    const machine = new Machine({
      settings,
      server,
      discover: discover ?? true,
      name,
      device,
      opening,
      remembered: await this.#remembered(),
      random: Math.random,
      makeId: messageIds(wall),
      wall,
    });
    this.#machine = machine;
    this.#deaf = listen({
      network: (online) => this.#input({ type: "network", online }),
      back: () => this.#input({ type: "command", ticket: 0, command: { do: "hurry" } }),
    });
    this.#input({ type: "start" });
    return machine;
  }

  async #remembered(): Promise<Remembered> {
    const { store, opening } = this.#parts;
    try {
      const user = (await store.value(VALUES.user)) as Profile | undefined;
      const reads = (await store.value(VALUES.reads)) as Remembered["reads"] | undefined;
      const resumes = user !== undefined || opening.cursors.size > 0;
      const edges = believed(await store.value(VALUES.edges), Date.now());
      return { resumes, me: user?.id, reads: reads ?? {}, edges };
    } catch (error) {
      this.#emit("storage", { error: error as Error });
      return { resumes: opening.cursors.size > 0, me: undefined, reads: {}, edges: [] };
    }
  }

  /** Outputs may lead to inputs at once; they are worked on one after the other. */
  #input(input: Input): void {
    this.#inputs.push(input);
    const machine = this.#machine;
    if (this.#working || machine === undefined) return;
    this.#working = true;
    if (this.#slept()) this.#inputs.unshift({ type: "awoke" });
    for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift()) {
      const cause = next;
      const outputs = this.#guarded(cause, () => machine.input(performance.now(), cause)) ?? [];
      for (const output of outputs) this.#guarded(cause, () => this.#do(output));
    }
    this.#working = false;
    this.#setTimer();
  }

  #slept(): boolean {
    const before = this.#aheadMs;
    this.#aheadMs = Date.now() - performance.now();
    return this.#aheadMs > before + SLEPT_MS;
  }

  /** Nothing that is wrong with one input keeps the client from the next. */
  #guarded<T>(cause: Input, work: () => T): T | undefined {
    try {
      return work();
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown : new Error(String(thrown));
      if (cause.type === "command") {
        this.#tell({ type: "reject", ticket: cause.ticket, error });
        return undefined;
      }
      const message = `a fault of this client, which connects anew: ${error.message}`;
      this.#emit("problem", { error: { code: "internal", message, retryable: true } });
      if (cause.type !== "broke") this.#inputs.push({ type: "broke" });
      return undefined;
    }
  }

  #do(output: Output): void {
    switch (output.type) {
      case "send":
        return this.#sockets.send(output.frame);
      case "connect":
        return this.#sockets.open(output.socket, socketAddress(output.server));
      case "close":
        return this.#sockets.leave();
      case "token":
        return void this.#fetchToken(output.refused);
      case "edges":
        return void this.#discover(output.servers);
      case "keep": {
        const { changes, tell, back } = output;
        return this.#ledger.put(changes, () => {
          for (const telling of tell) this.#tell(telling);
          if (back !== undefined) this.#input(back);
        });
      }
      default:
        this.#ledger.put([], () => this.#tell(output));
    }
  }

  #tell(telling: Telling): void {
    if (telling.type === "emit") return this.#emit(telling.event, telling.body);
    const waiting = this.#answers.get(telling.ticket);
    this.#answers.delete(telling.ticket);
    if (telling.type === "answer") waiting?.resolve(telling.answer as never);
    else waiting?.reject(telling.error);
  }

  /** What a listener throws is the application's matter, and stops nothing here. */
  #emit<K extends keyof ClientEvents>(event: K, body: ClientEvents[K]): void {
    try {
      this.#parts.emit(event, body);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }

  async #fetchToken(refused: string | undefined): Promise<void> {
    try {
      const token = await this.#parts.options.tokens(refused === undefined ? {} : { refused });
      this.#input({ type: "token", token });
    } catch (error) {
      this.#input({ type: "no_token", why: whyNoToken(error) });
    }
  }

  async #discover(servers: readonly string[]): Promise<void> {
    const { region, fetch } = this.#parts.options;
    const query = region === undefined ? "" : `?region=${encodeURIComponent(region)}`;
    for (const server of servers) {
      try {
        const request = { url: `${server}/v1/edges${query}`, timeoutMs: EDGES_TIMEOUT_MS, fetch };
        const edges = (await fetchJson(request)) as EdgeInfo[];
        this.#input({ type: "edges", urls: edges.map((edge) => edge.url) });
        return;
      } catch {
        // The next one may know.
      }
    }
    this.#input({ type: "edges", urls: undefined });
  }

  #setTimer(): void {
    const at = this.#machine?.deadline;
    if (at === this.#timerAt) return;
    clearTimeout(this.#timer);
    this.#timerAt = at;
    if (at === undefined) return;
    const inMs = Math.min(Math.max(Math.ceil(at - performance.now()), 0), 2 ** 31 - 1);
    this.#timer = setTimeout(() => {
      this.#timerAt = undefined;
      this.#input({ type: "tick" });
    }, inMs);
  }
}

function whyNoToken(error: unknown): Extract<Input, { type: "no_token" }>["why"] {
  if (error instanceof SignedOutError) return error.revoked ? "revoked" : "signed_out";
  return error instanceof UnreachableError ? "unreachable" : "token";
}

/**
 * One connection for all tabs of an account: the tab that holds a Web Lock leads and has the engine, the others ask
 * it over a BroadcastChannel. When it closes, crashes or sleeps, another one takes over.
 *
 * @module
 */
import type { Answers, Command, Engine } from "../engine/engine.js";
import { messageIds } from "../engine/uuid.js";
import { StoppedError } from "../errors.js";
import type { ClientEvents, Connection, OutboxEntry } from "../events.js";
import type { Limits, Profile } from "../wire.js";
import { Desk } from "./desk.js";
import { Heard } from "./heard.js";
import type { Question, Said, TabId } from "./messages.js";
import { Questions, TAKEN_WITHIN_MS } from "./questions.js";
import type { MakeEngine, Note, Seat } from "./seat.js";

/** So often a tab that somebody looks at asks whether the leader is awake. */
const PROBE_EVERY_MS = 10_000;
/** So often it is looked whether something waits too long. */
const CHECK_EVERY_MS = 500;

/** What a tab needs of its browser. */
export interface Browser {
  locks: Pick<LockManager, "request">;
  channel(name: string): BroadcastChannel;
  /** Whether somebody looks at this tab. */
  visible(): boolean;
}

/** What is told to the client. */
export interface SeatEvents {
  emit: <K extends keyof ClientEvents>(type: K, event: ClientEvents[K]) => void;
  note(note: Note): void;
}

/** This tab's place at the engine that all tabs share. */
export class SharedSeat implements Seat {
  readonly #name: string;
  readonly #tab: TabId = crypto.randomUUID();
  readonly #browser: Browser;
  readonly #make: MakeEngine;
  readonly #events: SeatEvents;
  readonly #told: Heard;
  readonly #channel: BroadcastChannel;
  readonly #questions: Questions;
  readonly #makeId = messageIds(() => Date.now());
  readonly #stop = new AbortController();
  /** What this tab shows and whether somebody looks: told to each new leader. */
  readonly #standing = new Map<"watch" | "active", Command>();
  #engine: Engine | undefined;
  #desk: Desk | undefined;
  #leader: TabId | undefined;
  #connection: Connection = { state: "idle" };
  #session: { user: Profile; limits: Limits } | undefined;
  /** Ends the wait for the lock. */
  #waiting = new AbortController();
  #release: () => void = () => {};
  /** Raised when the lead is lost. */
  #reign = 0;
  #ready: () => void = () => {};
  #failed: (error: unknown) => void = () => {};
  #probedAt = 0;
  #heardAt = 0;
  #checkedAt = 0;
  #checks: ReturnType<typeof setInterval> | undefined;

  /**
   * @param account - Names the lock and the channel: `natterjack:<account>`.
   * @param told - What the client knows from the store.
   */
  constructor(account: string, browser: Browser, make: MakeEngine, events: SeatEvents, told = new Heard()) {
    this.#name = `natterjack:${account}`;
    this.#browser = browser;
    this.#make = make;
    this.#events = events;
    this.#told = told;
    this.#channel = browser.channel(this.#name);
    this.#channel.onmessage = ({ data }: MessageEvent<Said>) => this.#heard(data);
    this.#questions = new Questions((n, question) => this.#say({ say: "ask", tab: this.#tab, n, question }));
  }

  get connection(): Connection {
    return this.#engine?.connection ?? this.#connection;
  }

  get leader(): boolean {
    return this.#engine !== undefined;
  }

  async start(): Promise<void> {
    const started = new Promise<void>((resolve, reject) => {
      this.#ready = resolve;
      this.#failed = reject;
    });
    // Held for as long as this tab lives: by it the leader knows when it is gone.
    const alive = () => new Promise<void>((resolve) => this.#onStop(resolve));
    this.#browser.locks.request(this.#lockOf(this.#tab), alive).catch(() => undefined);
    this.#checks = setInterval(() => this.#check(), CHECK_EVERY_MS);
    const leads = await new Promise<boolean>((resolve) => {
      const options = { ifAvailable: true } as const;
      const held = this.#browser.locks.request(this.#name, options, async (lock) => {
        resolve(lock !== null);
        if (lock !== null) await this.#lead();
      });
      held.catch(() => this.#robbed());
    });
    if (!leads) {
      this.#probe(true);
      this.#queue();
      // A leader that sleeps does not keep this one from showing what is kept.
      setTimeout(() => this.#ready(), TAKEN_WITHIN_MS);
    }
    return started;
  }

  async ask<C extends Command>(command: C): Promise<Answers[C["do"]]> {
    const question = this.#complete(command);
    if (question.do === "watch" || question.do === "active") this.#standing.set(question.do, question);
    return (await this.#put(question)) as Answers[C["do"]];
  }

  async outbox(): Promise<OutboxEntry[]> {
    return (await this.#put({ do: "outbox" })) as OutboxEntry[];
  }

  tell(note: Note): void {
    this.#say({ say: "note", tab: this.#tab, note });
  }

  async stop(): Promise<void> {
    if (this.#stop.signal.aborted) return;
    clearInterval(this.#checks);
    this.#waiting.abort();
    const engine = this.#engine;
    // The store must be left to the next leader before the lock is.
    await engine?.stop();
    this.#engine = undefined;
    this.#stop.abort();
    this.#release();
    for (const { reject } of this.#questions.takeAll()) reject(new StoppedError("the client was stopped"));
    if (engine === undefined)
      this.#hear("connection", { state: "stopped", reason: "stopped", since: Date.now() });
    this.#channel.close();
    this.#ready();
  }

  /** Waits until the leader is gone. */
  #queue(): void {
    if (this.#stop.signal.aborted) return;
    this.#waiting = new AbortController();
    const { signal } = this.#waiting;
    this.#request({ signal }, () => signal.aborted);
  }

  /** Takes the lock from a leader that sleeps. */
  #steal(): void {
    this.#waiting.abort();
    this.#request({ steal: true }, () => false);
  }

  #request(options: LockOptions, withdrawn: () => boolean): void {
    const held = this.#browser.locks.request(this.#name, options, () => this.#lead());
    held.catch(() => {
      if (!withdrawn()) this.#robbed();
    });
  }

  /** Holds the lock: resolves when it is to be free again. */
  async #lead(): Promise<void> {
    if (this.#stop.signal.aborted) return;
    const held = new Promise<void>((resolve) => (this.#release = resolve));
    const reign = this.#reign;
    let engine: Engine | undefined;
    let desk: Desk | undefined;
    try {
      const early: (() => void)[] = [];
      const emit = <K extends keyof ClientEvents>(type: K, event: ClientEvents[K]): void => {
        // What it says while it is being made is told once it is known to lead, and nothing after it was robbed.
        if (engine === undefined) early.push(() => emit(type, event));
        else if (this.#engine === engine) this.#tellAll(desk!, type, event);
      };
      engine = await this.#make(emit, this.#told);
      desk = new Desk(
        engine,
        (said) => this.#say(said),
        (tab) => this.#untilGone(tab),
      );
      if (reign !== this.#reign || this.#stop.signal.aborted) return await engine.stop();
      this.#engine = engine;
      this.#desk = desk;
      this.#leader = this.#tab;
      this.#events.emit("leader", { leader: true });
      this.#sayLeads();
      for (const again of early) again();
    } catch (error) {
      this.#failed(error);
      return;
    }
    for (const command of this.#standing.values()) this.#put(command as Question).catch(() => undefined);
    for (const { question, resolve, reject } of this.#questions.takeAll())
      this.#put(question).then(resolve, reject);
    this.#ready();
    await held;
  }

  /** Another tab has taken the lock: this one must have slept. */
  #robbed(): void {
    if (this.#stop.signal.aborted) return;
    this.#release();
    const engine = this.#engine;
    const ceded = this.#cede();
    if (engine !== undefined) ceded.then(() => this.#handOver(engine)).catch(() => undefined);
    this.#probe();
    this.#queue();
  }

  /** The connection has ended for good here, and a new tab may have what it needs: whoever waits for the lock tries. */
  async #abdicate(): Promise<void> {
    const release = this.#release;
    await this.#cede();
    release();
    this.#queue();
  }

  /** Leads no more; resolves once the engine is done with the store. */
  async #cede(): Promise<void> {
    const engine = this.#engine;
    this.#reign += 1;
    this.#engine = this.#desk = this.#leader = undefined;
    if (engine === undefined) return;
    this.#events.emit("leader", { leader: false });
    await engine.stop().catch(() => undefined);
  }

  /**
   * The other one may have read the outbox before this one took its last messages: it is told of them. Each has its
   * id, so that one which it knows, sent already or discarded is not sent again.
   */
  async #handOver(engine: Engine): Promise<void> {
    for (const { id, conversation, content, failed } of await engine.outbox()) {
      if (failed === undefined)
        this.#put({ do: "enqueue", id, conversation, content }).catch(() => undefined);
    }
  }

  async #put(question: Question): Promise<unknown> {
    if (this.#stop.signal.aborted) throw new StoppedError("the client was stopped");
    const engine = this.#engine;
    if (engine === undefined) return this.#questions.ask(question, performance.now());
    try {
      return await (question.do === "outbox" ? engine.outbox() : engine.ask(question));
    } catch (error) {
      // Robbed while it was under way: the new leader is asked.
      if (error instanceof StoppedError && this.#engine !== engine) return this.#put(question);
      throw error;
    }
  }

  /** A message has its id before it is said, so that saying it twice makes no second one. */
  #complete(command: Command): Command {
    if ("tab" in command) return { ...command, tab: this.#tab };
    if (command.do === "enqueue") return { ...command, id: command.id ?? this.#makeId() };
    return command;
  }

  #tellAll<K extends keyof ClientEvents>(desk: Desk, type: K, event: ClientEvents[K]): void {
    if (type === "ready") {
      const { user, limits } = event as ClientEvents["ready"];
      this.#session = { user, limits };
    }
    if (type === "presence") desk.heard((event as ClientEvents["presence"]).users);
    // That this tab goes is no matter of the others.
    const farewell = type === "connection" && (event as Connection).reason === "stopped";
    if (!farewell) this.#say({ say: "event", tab: this.#tab, type, event });
    this.#hear(type, event);
  }

  #heard(said: Said): void {
    if (this.#stop.signal.aborted) return;
    switch (said.say) {
      case "who":
        if (said.starts === true && this.#hasEnded()) return void this.#abdicate();
        if (this.#engine !== undefined) this.#sayLeads();
        return;
      case "leads":
        return this.#hearLeader(said);
      case "event":
        // Of a leader, or of one that had only slept and does not know yet: then the other one says it too.
        if (this.#engine === undefined) this.#hear(said.type, said.event as never);
        return;
      case "note":
        return this.#events.note(said.note);
      case "ask":
        return this.#desk?.asked(said.tab, said.n, said.question);
      default:
    }
    if (said.tab !== this.#tab) return;
    this.#heardAt = performance.now();
    if (said.say === "taken") this.#questions.taken(said.n);
    if (said.say === "answer") this.#questions.answered(said.n, said.answer);
    if (said.say === "refusal") this.#questions.refused(said.n, said.fault);
  }

  #hearLeader({ tab, connection, session }: Extract<Said, { say: "leads" }>): void {
    if (this.#engine !== undefined) return;
    this.#heardAt = performance.now();
    if (this.#leader !== tab) {
      this.#leader = tab;
      for (const command of this.#standing.values()) this.#put(command).catch(() => undefined);
      this.#questions.repeat(performance.now());
      this.#hear("connection", connection);
    }
    if (session !== undefined && this.#session === undefined) void this.#catchUp(session);
    this.#ready();
  }

  /** The leader was connected before this tab was there: what `ready` said then, as it is now. */
  async #catchUp(session: { user: Profile; limits: Limits }): Promise<void> {
    this.#session = session;
    try {
      const page = await this.ask({ do: "conversations" });
      this.#hear("ready", { ...session, ...page });
    } catch {
      this.#session = undefined;
    }
  }

  #hear<K extends keyof ClientEvents>(type: K, event: ClientEvents[K]): void {
    if (type === "connection") this.#connection = event as Connection;
    if (type === "ready") {
      const { user, limits } = event as ClientEvents["ready"];
      this.#session = { user, limits };
    }
    if (type === "truncated") this.#told.truncated(event as ClientEvents["truncated"]);
    if (type !== "messages") return this.#events.emit(type, event);
    const fresh = this.#told.messages(event as ClientEvents["messages"]);
    if (fresh !== undefined) this.#events.emit("messages", fresh);
  }

  #sayLeads(): void {
    this.#say({
      say: "leads",
      tab: this.#tab,
      connection: this.connection,
      ...(this.#session !== undefined && { session: this.#session }),
    });
  }

  #probe(starts = false): void {
    this.#probedAt = performance.now();
    this.#say({ say: "who", tab: this.#tab, starts });
  }

  /** Whether this tab leads and its connection ended for good, by no wish of the application. */
  #hasEnded(): boolean {
    const { state, reason } = this.#engine?.connection ?? {};
    return state === "stopped" && reason !== "stopped";
  }

  /** Is there a leader, and is it awake? */
  #check(): void {
    const now = performance.now();
    // This tab has slept itself: answers may lie in its queue.
    const late = now - this.#checkedAt > 4 * CHECK_EVERY_MS;
    this.#checkedAt = now;
    if (late || this.#engine !== undefined) return;
    const asleep = this.#questions.check(now) || this.#silent(now);
    if (!this.#browser.visible()) return;
    if (asleep) {
      this.#heardAt = this.#probedAt = now;
      this.#questions.repeat(now);
      this.#steal();
    } else if (now - this.#probedAt >= PROBE_EVERY_MS) {
      this.#probe();
    }
  }

  /** Whether the last probe was not answered in time. */
  #silent(now: number): boolean {
    return this.#heardAt < this.#probedAt && now - this.#probedAt >= 2 * TAKEN_WITHIN_MS;
  }

  async #untilGone(tab: TabId): Promise<void> {
    // It held its lock when it asked; whoever gets it after that, it is gone.
    await this.#browser.locks.request(this.#lockOf(tab), { signal: this.#stop.signal }, () => undefined);
  }

  #lockOf(tab: TabId): string {
    return `${this.#name}:tab:${tab}`;
  }

  #onStop(run: () => void): void {
    this.#stop.signal.addEventListener("abort", run, { once: true });
  }

  #say(said: Said): void {
    if (!this.#stop.signal.aborted) this.#channel.postMessage(said);
  }
}

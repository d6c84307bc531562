/**
 * Where a client's engine comes from: its own ({@link SoloSeat}), or one that all tabs share.
 *
 * @module
 */
import type { Answers, Command, Emit, Engine } from "../engine/engine.js";
import type { Connection, OutboxEntry } from "../events.js";
import type { Conversation, Summary } from "../wire.js";
import { Heard } from "./heard.js";

/** What tabs tell each other that is no event of the client. */
export type Note =
  /** A text was begun. */
  | { note: "draft"; conversation: Conversation; text: string }
  /** The server told of a conversation when it was asked for something. */
  | { note: "summary"; summary: Summary };

/** An engine, and this tab's place at it. */
export interface Seat {
  /** Resolves once there is an engine to ask, here or in another tab. */
  start(): Promise<void>;
  readonly connection: Connection;
  readonly leader: boolean;
  /** `tab` of a command is filled in. */
  ask<C extends Command>(command: C): Promise<Answers[C["do"]]>;
  outbox(): Promise<OutboxEntry[]>;
  /** Tells the other tabs. */
  tell(note: Note): void;
  stop(): Promise<void>;
}

/** Opens the store and makes the engine; what is kept there and was not heard in this tab is told. */
export type MakeEngine = (emit: Emit, heard: Heard) => Promise<Engine>;

/** A seat without other tabs. */
export class SoloSeat implements Seat {
  readonly leader = true;
  readonly #make: MakeEngine;
  readonly #emit: Emit;
  #engine: Engine | undefined;

  constructor(make: MakeEngine, emit: Emit) {
    this.#make = make;
    this.#emit = emit;
  }

  async start(): Promise<void> {
    this.#engine = await this.#make(this.#emit, new Heard());
    this.#emit("leader", { leader: true });
  }

  get connection(): Connection {
    return this.#engine?.connection ?? { state: "idle" };
  }

  ask<C extends Command>(command: C): Promise<Answers[C["do"]]> {
    return this.#started().ask("tab" in command ? { ...command, tab: "solo" } : command);
  }

  outbox(): Promise<OutboxEntry[]> {
    return this.#started().outbox();
  }

  tell(): void {
    // Nobody else is there.
  }

  async stop(): Promise<void> {
    await this.#engine?.stop();
  }

  #started(): Engine {
    if (this.#engine === undefined) throw new Error("not started");
    return this.#engine;
  }
}

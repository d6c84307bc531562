/**
 * A seat whose code comes later: what is kept on the device is shown before anything of the connection is loaded.
 *
 * @module
 */
import type { Answers, Command, Emit } from "../engine/engine.js";
import { StoppedError } from "../errors.js";
import type { Connection, OutboxEntry } from "../events.js";
import type { Note, Seat } from "./seat.js";

/** How long until the code is asked for again that could not be loaded. */
const AGAIN_MS = 3_000;

/** Stands for a seat from before it is loaded. */
export class LateSeat implements Seat {
  readonly #load: () => Promise<Seat>;
  readonly #emit: Emit;
  readonly #taken: Promise<Seat>;
  #take!: (seat: Seat) => void;
  #give!: (error: Error) => void;
  #seat: Seat | undefined;
  #starting: Promise<void> | undefined;
  #again: ReturnType<typeof setTimeout> | undefined;
  #connection: Connection = { state: "idle" };
  #stopped = false;

  constructor(load: () => Promise<Seat>, emit: Emit) {
    this.#load = load;
    this.#emit = emit;
    this.#taken = new Promise((take, give) => {
      this.#take = take;
      this.#give = give;
    });
    // Whoever asks hears of it.
    this.#taken.catch(() => undefined);
  }

  start(): Promise<void> {
    this.#starting ??= this.#start();
    return this.#starting;
  }

  get connection(): Connection {
    return this.#seat?.connection ?? this.#connection;
  }

  get leader(): boolean {
    return this.#seat?.leader ?? false;
  }

  /** Whether there is an engine behind it by now. */
  get taken(): boolean {
    return this.#seat !== undefined;
  }

  async ask<C extends Command>(command: C): Promise<Answers[C["do"]]> {
    return (await this.#taken).ask(command);
  }

  async outbox(): Promise<OutboxEntry[]> {
    return (await this.#taken).outbox();
  }

  tell(note: Note): void {
    this.#seat?.tell(note);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#again);
    this.#give(new StoppedError("the client was stopped"));
    await this.#starting?.catch(() => undefined);
    await this.#seat?.stop();
  }

  async #start(): Promise<void> {
    let seat: Seat;
    try {
      seat = await this.#load();
    } catch {
      // A part of the program is not to be had: to the application it is a server that does not answer.
      if (!this.#stopped) this.#later();
      return;
    }
    if (this.#stopped) return;
    try {
      await seat.start();
    } catch (error) {
      this.#give(error as Error);
      throw error;
    }
    this.#seat = seat;
    this.#take(seat);
  }

  #later(): void {
    const retryAt = Date.now() + AGAIN_MS;
    const { since = Date.now() } = this.#connection;
    this.#connection = { state: "waiting", reason: "unreachable", retryAt, since };
    this.#emit("connection", this.#connection);
    this.#again = setTimeout(() => {
      this.#starting = this.#start();
    }, AGAIN_MS);
  }
}

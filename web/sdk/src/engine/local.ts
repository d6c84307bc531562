/**
 * The engine of the tab that leads: it owns the connection.
 *
 * @module
 */
import { UnreachableError } from "../errors.js";
import type { Connection, OutboxEntry } from "../events.js";
import type { Answers, Command, Engine, EngineParts } from "./engine.js";

/** Not connected. */
export class LocalEngine implements Engine {
  readonly connection: Connection = { state: "idle" };
  readonly #parts: EngineParts;

  constructor(parts: EngineParts) {
    this.#parts = parts;
  }

  ask<C extends Command>(command: C): Promise<Answers[C["do"]]> {
    return Promise.reject(new UnreachableError(`${command.do}: not connected`));
  }

  outbox(): Promise<OutboxEntry[]> {
    return Promise.resolve(this.#parts.opening.outbox);
  }

  stop(): Promise<void> {
    return Promise.resolve();
  }
}

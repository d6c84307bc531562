/**
 * What is written to the store and told to the application, in one line.
 *
 * One write is under way at a time, and all that gathered meanwhile is the next one. What follows from a change is
 * told after the store has it. A store that fails or hangs stops nothing: the client goes on in memory, and says so.
 *
 * @module
 */
import type { Change, Store } from "../store/store.js";

/** A store that has not answered for so long will not. */
const WRITE_TIMEOUT_MS = 10_000;

interface Entry {
  changes: Change[];
  done: () => void;
}

/** The line of one engine. */
export class Ledger {
  readonly #store: Pick<Store, "write">;
  readonly #failed: (error: Error) => void;
  readonly #timeoutMs: number;
  #waiting: Entry[] = [];
  #running: Promise<void> | undefined;

  /** @param failed - Hears of each write that failed, and of what was thrown by one who was told. */
  constructor(store: Pick<Store, "write">, failed: (error: Error) => void, timeoutMs = WRITE_TIMEOUT_MS) {
    this.#store = store;
    this.#failed = failed;
    this.#timeoutMs = timeoutMs;
  }

  /** Keeps the changes, then does `done`; after all that was put in before. */
  put(changes: Change[], done: () => void): void {
    if (changes.length === 0 && this.#running === undefined) return this.#tell(done);
    this.#waiting.push({ changes, done });
    this.#running ??= this.#run();
  }

  /** Resolves once all that was put in is kept and told. */
  async settled(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const entries = this.#waiting;
      this.#waiting = [];
      await this.#write(entries.flatMap((entry) => entry.changes));
      for (const { done } of entries) this.#tell(done);
    }
    this.#running = undefined;
  }

  /** One that throws keeps nothing that follows it from being kept and told. */
  #tell(done: () => void): void {
    try {
      done();
    } catch (error) {
      this.#failed(asError(error));
    }
  }

  async #write(changes: Change[]): Promise<void> {
    if (changes.length === 0) return;
    try {
      await this.#inTime(this.#store.write(changes));
    } catch (error) {
      this.#failed(asError(error));
      // The rest is a copy of what the server has; what a person wrote is nowhere else.
      const own = changes.filter((change) => ("drop" in change ? change.drop : change.put) === "outbox");
      if (own.length === 0 || own.length === changes.length) return;
      await this.#inTime(this.#store.write(own)).catch(() => {});
    }
  }

  async #inTime(write: Promise<void>): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      const error = new Error("the store did not answer in time");
      timer = setTimeout(() => reject(error), this.#timeoutMs);
    });
    try {
      await Promise.race([write, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

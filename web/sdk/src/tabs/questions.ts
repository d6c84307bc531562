/**
 * What a tab has asked the leader and was not answered yet: asked again where it may have been lost.
 *
 * @module
 */
import type { Fault, Question } from "./messages.js";
import { errorOf } from "./messages.js";

/** A leader that is awake takes a question in less; twice that and it sleeps. */
export const TAKEN_WITHIN_MS = 1_500;
/** So often one that was taken is asked for again. */
const ASK_AGAIN_MS = 5_000;

interface Open {
  question: Question;
  resolve(answer: unknown): void;
  reject(error: Error): void;
  /** When it was said last, and when for the first time to a leader that did not take it. */
  saidAt: number;
  untakenSince: number | undefined;
}

/** Questions by number. */
export class Questions {
  readonly #open = new Map<number, Open>();
  readonly #say: (n: number, question: Question) => void;
  #last = 0;

  constructor(say: (n: number, question: Question) => void) {
    this.#say = say;
  }

  get size(): number {
    return this.#open.size;
  }

  ask(question: Question, now: number): Promise<unknown> {
    const n = ++this.#last;
    const answered = new Promise<unknown>((resolve, reject) => {
      this.#open.set(n, { question, resolve, reject, saidAt: now, untakenSince: now });
    });
    this.#say(n, question);
    return answered;
  }

  taken(n: number): void {
    const open = this.#open.get(n);
    if (open !== undefined) open.untakenSince = undefined;
  }

  answered(n: number, answer: unknown): void {
    this.#open.get(n)?.resolve(answer);
    this.#open.delete(n);
  }

  refused(n: number, fault: Fault): void {
    this.#open.get(n)?.reject(errorOf(fault));
    this.#open.delete(n);
  }

  /** There is a new leader, which knows of none of them. */
  repeat(now: number): void {
    for (const [n, open] of this.#open) {
      open.saidAt = open.untakenSince = now;
      this.#say(n, open.question);
    }
  }

  /** Says again what may be lost; answers whether the leader seems to sleep. */
  check(now: number): boolean {
    let asleep = false;
    for (const [n, open] of this.#open) {
      const { untakenSince } = open;
      const wait = untakenSince === undefined ? ASK_AGAIN_MS : TAKEN_WITHIN_MS;
      if (untakenSince !== undefined && now - untakenSince >= 2 * TAKEN_WITHIN_MS) asleep = true;
      if (now - open.saidAt < wait) continue;
      open.saidAt = now;
      open.untakenSince ??= now;
      this.#say(n, open.question);
    }
    return asleep;
  }

  /** Hands out all that is open, to be answered here. */
  takeAll(): Pick<Open, "question" | "resolve" | "reject">[] {
    const all = [...this.#open.values()];
    this.#open.clear();
    return all;
  }
}

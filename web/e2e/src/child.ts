/**
 * A child process that is ready when it says so, or failed when it ends before.
 *
 * @module
 */
import { spawn, type ChildProcess } from "node:child_process";
import { createWriteStream } from "node:fs";

/** How long a process may take to become ready on a busy machine. */
const READY_MS = 120_000;
/** How long it may take to end when asked; then it is killed. */
const STOP_MS = 20_000;
/** Of its output, this much is kept for error messages. */
const TAIL_CHARS = 8_000;

/** A process of ours, with its output in a file and its end in a promise. */
export class Child {
  readonly ended: Promise<number | null>;
  private tail = "";
  private readonly process: ChildProcess;
  private readonly name: string;

  private constructor(
    name: string,
    program: string,
    options: string[],
    env: Record<string, string>,
    log: string,
  ) {
    this.name = name;
    this.process = spawn(program, options, {
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const file = createWriteStream(log, { flags: "a" });
    for (const stream of [this.process.stdout, this.process.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.tail = (this.tail + text).slice(-TAIL_CHARS);
        file.write(text);
      });
    }
    this.ended = new Promise((resolve, reject) => {
      this.process.once("error", reject);
      this.process.once("exit", (code) => {
        file.end();
        resolve(code);
      });
    });
  }

  /** Starts it, and waits until its output matches. */
  static async start(
    name: string,
    program: string,
    options: string[],
    env: Record<string, string>,
    log: string,
    ready: RegExp,
  ): Promise<{ child: Child; said: RegExpExecArray }> {
    const child = new Child(name, program, options, env, log);
    return { child, said: await child.says(ready) };
  }

  /** The first match in its output, which it may have said already. */
  says(pattern: RegExp): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const look = () => {
        const match = pattern.exec(this.tail);
        if (match) finish(() => resolve(match));
      };
      const fail = (why: string) => finish(() => reject(new Error(`${this.name} ${why}:\n${this.tail}`)));
      const timer = setTimeout(() => fail("is not ready in time"), READY_MS);
      const streams = [this.process.stdout, this.process.stderr];
      const finish = (done: () => void) => {
        clearTimeout(timer);
        for (const stream of streams) stream?.off("data", look);
        done();
      };
      for (const stream of streams) stream?.on("data", look);
      void this.ended.then(
        (code) => fail(`ended with ${code} before it was ready`),
        (error: unknown) => fail(String(error)),
      );
      look();
    });
  }

  signal(signal: "SIGINT" | "SIGTERM" | "SIGKILL" | "SIGSTOP" | "SIGCONT"): void {
    this.process.kill(signal);
  }

  /** Ends it in good order, or by force if it does not. */
  async stop(): Promise<void> {
    this.signal("SIGCONT");
    this.signal("SIGINT");
    const timer = setTimeout(() => this.signal("SIGKILL"), STOP_MS);
    await this.ended;
    clearTimeout(timer);
  }
}

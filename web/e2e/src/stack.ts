/**
 * The real servers: the plain run in a directory of its own, and further edges beside it.
 *
 * Each edge is reached through a {@link Link}, whose address it tells others as its own, so that a test has all
 * traffic with it in its hands. The directory goes when the stack is stopped, unless a test failed.
 *
 * @module
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Child } from "./child.js";
import { Link } from "./link.js";
import { binary, PAGE_DIR, toolsDir } from "./paths.js";

/** What every edge is started with: tests sign up and send faster than people. */
const ENVIRONMENT = {
  EDGE_NO_RATE_LIMITS: "true",
  EDGE_WEB_DIR: PAGE_DIR,
  NATTERJACK_ARGON2_MEMORY_KIB: "8",
  NATTERJACK_ARGON2_PASSES: "1",
};

/** An edge that runs as a process of its own. */
export class Edge {
  /** Where clients reach it: its link. */
  readonly url: string;
  readonly link: Link;
  private readonly child: Child;

  constructor(child: Child, link: Link) {
    this.child = child;
    this.link = link;
    this.url = link.url;
  }

  /** It dies at once, without a goodbye. */
  async kill(): Promise<void> {
    this.child.signal("SIGCONT");
    this.child.signal("SIGKILL");
    await this.child.ended;
  }

  /** It drains and ends. */
  async drain(): Promise<void> {
    this.child.signal("SIGTERM");
    await this.child.ended;
  }

  /** Its time stands still, or goes on. */
  freeze(frozen: boolean): void {
    this.child.signal(frozen ? "SIGSTOP" : "SIGCONT");
  }

  async stop(): Promise<void> {
    await this.child.stop();
    await this.link.close();
  }
}

/** Options of a stack. */
export interface StackOptions {
  /** Further variables of the environment of every process, such as `EDGE_PING_INTERVAL_MS`. */
  env?: Record<string, string>;
}

/** NATS, Postgres, persister, presence, notifier and at least one edge. */
export class Stack {
  /** The first edge's, through {@link link}. */
  readonly url: string;
  readonly link: Link;
  private readonly main: Child;
  private readonly dir: string;
  private readonly natsUrl: string;
  private readonly env: Record<string, string>;
  private readonly edges: Edge[] = [];

  private constructor(main: Child, link: Link, dir: string, natsUrl: string, env: Record<string, string>) {
    this.main = main;
    this.link = link;
    this.url = link.url;
    this.dir = dir;
    this.natsUrl = natsUrl;
    this.env = env;
  }

  /** Starts everything; it is ready when this resolves. */
  static async start({ env = {} }: StackOptions = {}): Promise<Stack> {
    const dir = mkdtempSync(join(tmpdir(), "natterjack-web-"));
    const link = await Link.open();
    const all = { ...ENVIRONMENT, ...env };
    const options = ["--data-dir", join(dir, "data"), "--tools-dir", toolsDir(), "--listen", "127.0.0.1:0"];
    try {
      const { child, said } = await Child.start(
        "natterjack",
        binary(),
        options,
        { ...all, EDGE_PUBLIC_URL: link.url },
        join(dir, "natterjack.log"),
        /^(?=[\s\S]*in a browser)[\s\S]*clients +(http:\S+)[\s\S]*NATS +(nats:\S+)[\s\S]*Ctrl-C stops everything/,
      );
      link.lead(said[1] ?? "");
      return new Stack(child, link, dir, said[2] ?? "", all);
    } catch (error) {
      await link.close();
      throw new Error(`the stack did not start; its log is in ${dir}`, { cause: error });
    }
  }

  /** One more edge. */
  async edge(): Promise<Edge> {
    const link = await Link.open();
    const log = join(this.dir, `edge-${this.edges.length + 1}.log`);
    const { child, said } = await Child.start(
      "edge",
      binary(),
      ["edge", "--nats-url", this.natsUrl, "--listen", "127.0.0.1:0", "--public-url", link.url],
      this.env,
      log,
      /the edge is ready.*?edge\.address=(\S+)/,
    );
    link.lead(`http://${said[1] ?? ""}`);
    const edge = new Edge(child, link);
    this.edges.push(edge);
    return edge;
  }

  /** A value of the first edge's `/metrics`, summed over its labels; 0 where there is none. */
  async metric(name: string): Promise<number> {
    const text = await (await fetch(`${this.url}/metrics`)).text();
    const lines = text
      .split("\n")
      .filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`));
    return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
  }

  /** Stops everything. With `keep`, the directory with all logs and data stays, and its name is given. */
  async stop({ keep = false } = {}): Promise<string | undefined> {
    await Promise.all(this.edges.map((edge) => edge.stop()));
    await this.main.stop();
    await this.link.close();
    if (keep) return this.dir;
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    return undefined;
  }
}

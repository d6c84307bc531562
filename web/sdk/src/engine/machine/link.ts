/**
 * The way to a live connection, and back to one.
 *
 * ```text
 *             ┌────────── waiting ◄──────────────┬──────────────┬─────────┐
 *             ▼                                  │              │         │
 * idle ──► token ──────────────► connecting ──► opening ──► live          │
 *           │ ▲ └──► choosing ──────▲│           │           │ │          │
 *           │ └── the edge drains ───┼───────────┼───────────┘ │          │
 *           │                        └───────────┴──── lost ───┴──────────┤
 *           └── no token at the moment ───────────────────────────────────┘
 * any ──► stopped: by the application, refused for good, no token to be had
 * ```
 *
 * @module
 */
import type { AccessToken } from "../../account/tokens.js";
import type { Connection, Reason } from "../../events.js";
import type { ClientFrame, Ready, WireError } from "../../wire.js";
import { delayMs } from "../backoff.js";
import { CLOSE, reasonOf, reconnects } from "../frames.js";
import { type Input, earliest } from "./io.js";
import { type LinkHost, type LinkParts, type Phase, noteEdges } from "./link-parts.js";
import { Session } from "./session.js";

/** So many tokens in a row may be refused before nothing more is expected of the source. */
const TOKENS_REFUSED_MAX = 3;
/** However long an edge takes for its own end; one that has not closed by then is left all the same. */
const LEAVING_MAX_MS = 600_000;

/** One client's connection, over all its sockets. */
export class Link {
  readonly #host: LinkHost;
  readonly #parts: LinkParts;
  #phase: Phase = { at: "idle" };
  #told: Connection = { state: "idle" };
  #reason: Reason | undefined;
  #since: number | undefined;
  #socket = 0;
  /** Losses in a row, without a stable connection between. */
  #failures = 0;
  #offline = false;
  #token: AccessToken | undefined;
  /** The token that is not good any more. */
  #refused: string | undefined;
  #tokensRefused = 0;
  /** The source was asked and has not answered. */
  #tokenWanted = false;
  /** The last complaint of the present connection that belongs to no request. */
  #complaint: WireError | undefined;

  constructor(host: LinkHost, parts: LinkParts) {
    this.#host = host;
    this.#parts = parts;
  }

  /** The connection, while there is one. */
  get session(): Session | undefined {
    return this.#phase.at === "live" ? this.#phase.session : undefined;
  }

  get connection(): Connection {
    return this.#told;
  }

  get stopped(): boolean {
    return this.#phase.at === "stopped";
  }

  get offline(): boolean {
    return this.#offline;
  }

  start(now: number): void {
    if (this.#phase.at !== "idle") return;
    this.#since = this.#parts.wall();
    this.#connect(now);
  }

  /** Whether a socket of that number is the present one. */
  isCurrent(socket: number): boolean {
    return socket === this.#socket && ["connecting", "opening", "live"].includes(this.#phase.at);
  }

  tokenCame(token: AccessToken, now: number): void {
    this.#tokenWanted = false;
    const news = token.token !== this.#refused;
    this.#token = token;
    if (news) this.#refused = undefined;
    if (this.#phase.at === "live") {
      if (news) this.#host.handIn(token, now);
    } else if (this.#phase.at === "token") {
      if (this.#parts.route.wants(now)) {
        this.#phase = { at: "choosing", until: now + this.#parts.settings.connectTimeoutMs };
        this.#parts.out.put({ type: "edges", servers: this.#parts.route.candidates.toReversed() });
      } else {
        this.#dial(now);
      }
    }
  }

  noToken(why: Extract<Input, { type: "no_token" }>["why"], now: number): void {
    this.#tokenWanted = false;
    if (why === "signed_out" || why === "revoked") this.stop(why);
    else if (this.#phase.at === "token") this.#backOff(now, why);
    else this.session?.retryToken(now);
  }

  edgesCame(urls: readonly string[] | undefined, now: number): void {
    noteEdges(this.#parts, urls);
    if (this.#phase.at !== "choosing") return;
    this.#parts.route.answered(now, urls);
    this.#dial(now);
  }

  opened(now: number): void {
    if (this.#phase.at !== "connecting" || this.#token === undefined) return;
    const { settings, name, out } = this.#parts;
    const named = this.#parts.device(this.#token);
    const frame: ClientFrame = {
      type: "hello",
      token: this.#token.token,
      ...(named !== undefined && { device: named }),
      ...(name !== undefined && { client: name }),
      ...this.#host.hello(),
    };
    out.send(frame);
    this.#phase = { at: "opening", until: now + settings.helloTimeoutMs };
  }

  ready(ready: Ready, now: number): void {
    if (this.#phase.at !== "opening") return;
    this.#complaint = undefined;
    this.#tokensRefused = 0;
    this.#parts.route.connected();
    this.#phase = { at: "live", session: new Session(now, ready) };
    this.#since = undefined;
    this.#reason = undefined;
    this.#host.live(ready, now);
    this.#say({ state: "online" });
  }

  /** The server complained of something that belongs to no request: perhaps of what it closes for. */
  complained(error: WireError): void {
    this.#complaint = error;
  }

  /** The server, or a frame of it, said that the token is not good. */
  tokenIsBad(now: number): void {
    this.#refused = this.#token?.token;
    if (this.session !== undefined) this.#wantToken(now);
  }

  /** The server did not take the token that was handed in: the next one comes after a pause, if one is hoped for. */
  tokenNotTaken(retryable: boolean, now: number): void {
    this.session?.retryToken(now);
    if (!retryable) this.#noteRefusal();
  }

  /** The token that was handed in is in force. */
  tokenTaken(now: number): void {
    this.#tokensRefused = 0;
    this.session?.tokenUntil(now, this.#token?.expiresAt);
  }

  /** The socket is gone, or never came to be. */
  lost(now: number, code: number | undefined): void {
    const { at } = this.#phase;
    if (at !== "connecting" && at !== "opening" && at !== "live") return;
    const complaint = this.#complaint;
    this.#complaint = undefined;
    if (code === CLOSE.revoked) return this.stop("revoked");
    if (code === CLOSE.tooManyConnections) return this.stop("too_many_connections");
    if (code === CLOSE.badToken || code === CLOSE.tokenExpired) return this.#tokenRefused(now);
    if (!reconnects(code)) return this.stop("refused");
    this.#noteStability(now);
    // That it would close was said before, and where to go.
    if (this.session?.leavesAt !== undefined) return this.#again(now, "draining");
    if (at === "live" && code !== CLOSE.shutdown) this.#parts.route.lost();
    else this.#parts.route.next();
    // Of one who was let in, it was about something else.
    const asked = at === "live" ? 0 : (complaint?.retry_after_ms ?? 0);
    this.#backOff(now, reasonOf(code), asked);
  }

  /** A fault of the client's own: what the connection has told is uncertain, so another one resumes. */
  broke(now: number): void {
    if (!["idle", "stopped", "waiting"].includes(this.#phase.at)) this.#giveUp(now, "unreachable");
  }

  /** What the device says of its network. */
  network(online: boolean, now: number): void {
    this.#offline = !online;
    if (online) return this.hurry(now);
    // Its sockets may hang for long; and it may err, so that the way is tried again all the same.
    if (this.#phase.at !== "idle" && this.#phase.at !== "stopped") this.#giveUp(now, "offline");
  }

  /** Ends a wait; a connection that stands is asked whether it does. */
  hurry(now: number): void {
    if (this.#phase.at === "waiting") this.#connect(now);
    else if (this.#phase.at === "live") this.doubt(now);
  }

  /** Asks the server whether it is there. */
  doubt(now: number): void {
    const { session } = this;
    if (session?.doubt(now, this.#parts.settings.probeMs)) this.#ping();
  }

  /** The device slept, or the tab was frozen. */
  awoke(now: number): void {
    if (this.session?.awoke(now, this.#parts.settings.probeMs)) this.#ping();
    if (this.#phase.at === "waiting") this.#connect(now);
  }

  /** The edge says that it goes, and names others. */
  draining(edges: readonly string[], withinMs: number, now: number): void {
    noteEdges(this.#parts, edges);
    const { session } = this;
    // Said twice, it goes no later.
    if (session === undefined || session.leavesAt !== undefined) return;
    if (!this.#parts.route.leave(now, edges)) return;
    // At a moment of one's own, so that the next edge does not get everybody at once.
    session.leavesAt = now + Math.min(withinMs, LEAVING_MAX_MS) * this.#parts.random();
  }

  /** Whether nothing more is sent over this connection: its moment has come. */
  isLeaving(now: number): boolean {
    const leavesAt = this.session?.leavesAt;
    return leavesAt !== undefined && leavesAt <= now;
  }

  /** Goes to the other edge if the moment has come and no send is open. */
  leaveOnceAnswered(now: number): void {
    if (!this.isLeaving(now) || this.#host.inFlight() > 0) return;
    this.#host.parting(now);
    this.#noteStability(now);
    this.#abandon();
    this.#again(now, "draining");
  }

  tick(now: number): void {
    const phase = this.#phase;
    if (phase.at === "live") return this.#tickLive(phase.session, now);
    if (phase.at === "idle" || phase.at === "stopped" || phase.until > now) return;
    switch (phase.at) {
      case "waiting":
        return this.#connect(now);
      case "token":
        this.#tokenWanted = false;
        return this.#backOff(now, "token");
      case "choosing":
        return this.edgesCame(undefined, now);
      default:
        this.#abandon();
        this.#parts.route.next();
        return this.#backOff(now, phase.at === "opening" ? "silent" : "unreachable");
    }
  }

  /** When {@link tick} or {@link leaveOnceAnswered} has something to do. */
  get deadline(): number | undefined {
    const phase = this.#phase;
    if (phase.at === "idle" || phase.at === "stopped") return undefined;
    if (phase.at !== "live") return phase.until;
    // With sends open, it is their answers that are waited for.
    const leaves = this.#host.inFlight() === 0 ? phase.session.leavesAt : undefined;
    return earliest(phase.session.deadline, leaves);
  }

  /** The end. */
  stop(reason: Reason): void {
    if (this.#phase.at === "stopped") return;
    this.#abandon();
    this.#phase = { at: "stopped" };
    this.#since ??= this.#parts.wall();
    this.#reason = reason;
    this.#host.ended();
    this.#say({ state: "stopped", reason });
  }

  #tickLive(session: Session, now: number): void {
    if (session.silentAt <= now) {
      this.#parts.route.lost();
      return this.#giveUp(now, "silent");
    }
    if (session.askAt !== undefined && session.askAt <= now && session.doubt(now)) this.#ping();
    if (session.tokenDue !== undefined && session.tokenDue <= now) {
      this.#refused = this.#token?.token;
      // Set again once the new token is in force; until then, asked for again.
      session.retryToken(now);
      this.#wantToken(now);
    }
  }

  #connect(now: number): void {
    this.#phase = { at: "token", until: now + this.#parts.settings.tokenTimeoutMs };
    this.#say({ state: "connecting" });
    this.#wantToken(now);
  }

  #wantToken(now: number): void {
    if (this.#tokenWanted) return;
    this.#tokenWanted = true;
    this.session?.retryToken(now);
    this.#parts.out.put({ type: "token", refused: this.#refused });
  }

  #dial(now: number): void {
    this.#phase = { at: "connecting", until: now + this.#parts.settings.connectTimeoutMs };
    this.#complaint = undefined;
    this.#socket += 1;
    this.#parts.out.put({ type: "connect", socket: this.#socket, server: this.#parts.route.current });
  }

  #tokenRefused(now: number): void {
    this.#noteStability(now);
    this.#noteRefusal();
    if (!this.stopped) this.#again(now, "token");
  }

  #noteRefusal(): void {
    this.#refused = this.#token?.token;
    this.#tokensRefused += 1;
    if (this.#tokensRefused >= TOKENS_REFUSED_MAX) this.stop("signed_out");
  }

  /** Connects at once; but not for one to whom that happens again and again. */
  #again(now: number, reason: Reason): void {
    if (this.#failures > 0) return this.#backOff(now, reason);
    this.#failures = 1;
    this.#fallen(now, reason);
    this.#connect(now);
  }

  /** Leaves whatever there is of a connection. */
  #giveUp(now: number, reason: Reason): void {
    this.#noteStability(now);
    this.#abandon();
    this.#backOff(now, reason);
  }

  /** Comes back later, but not before the server asked for it. */
  #backOff(now: number, reason: Reason, askedMs = 0): void {
    const { settings, random, wall } = this.#parts;
    const { baseMs, maxMs } = settings.backoff;
    this.#fallen(now, this.#offline ? "offline" : reason);
    // The device is off: it will say when it is not, and may be wrong.
    const delay = this.#offline ? maxMs * (1 + random()) : delayMs(settings.backoff, this.#failures, random);
    // Who was given a time of their own comes then, and not much later.
    const inMs = askedMs > 0 ? askedMs + Math.min(delay, baseMs) : delay;
    if (!this.#offline) this.#failures += 1;
    this.#phase = { at: "waiting", until: now + inMs };
    this.#say({ state: "waiting", retryAt: wall() + inMs });
  }

  #fallen(now: number, reason: Reason): void {
    this.#since ??= this.#parts.wall();
    this.#reason = reason;
    this.#host.lost(now);
  }

  /** After a connection that lasted, the next loss is the first one again. */
  #noteStability(now: number): void {
    const { session } = this;
    if (session !== undefined && now - session.since >= this.#parts.settings.stableAfterMs)
      this.#failures = 0;
  }

  #abandon(): void {
    if (["connecting", "opening", "live"].includes(this.#phase.at)) this.#parts.out.put({ type: "close" });
  }

  #ping(): void {
    this.#parts.out.send({ type: "ping", id: "p" });
  }

  #say(connection: Connection): void {
    const told: Connection = {
      ...(this.#reason !== undefined && { reason: this.#reason }),
      ...(this.#since !== undefined && { since: this.#since }),
      ...connection,
    };
    const { state, reason, retryAt } = this.#told;
    const news = state !== told.state || reason !== told.reason || retryAt !== told.retryAt;
    this.#told = told;
    if (news) this.#parts.out.emit("connection", told);
  }
}

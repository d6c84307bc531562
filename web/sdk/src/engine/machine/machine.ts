/**
 * The connection as a pure state machine: inputs and the time go in, outputs come out.
 *
 * It owns the outbox, the timeline, the receipts and the open questions, and touches no socket, no clock and no
 * store, so that its promises are tested without any.
 *
 * @module
 */
import { StoppedError } from "../../errors.js";
import type { Connection, OutboxEntry } from "../../events.js";
import type { Change } from "../../store/store.js";
import type { Ready, ServerFrame } from "../../wire.js";
import type { Command } from "../engine.js";
import { Outbox } from "../outbox.js";
import { Receipts } from "../receipts.js";
import { Requests } from "../requests.js";
import { Route } from "../route.js";
import { Timeline } from "../timeline/timeline.js";
import { Tabs, Typing, Watching } from "./around.js";
import { Asking } from "./asking.js";
import { Delivery } from "./delivery.js";
import { type Input, Outlet, type Output, type Settings, earliest, emitting } from "./io.js";
import { Link } from "./link.js";
import type { LinkHost } from "./link-parts.js";
import { type Parts, VALUES } from "./parts.js";
import { Reading } from "./reading.js";
import { Sending } from "./sending.js";

/** A tick that comes so long after its time says that the timers were held up: asleep, or frozen. */
const LATE_MS = 5_000;

/** One user's machine. */
export class Machine {
  readonly #settings: Settings;
  readonly #out = new Outlet();
  readonly #link: Link;
  readonly #outbox: Outbox;
  readonly #timeline: Timeline;
  readonly #receipts: Receipts;
  readonly #reading: Reading;
  readonly #delivery: Delivery;
  readonly #sending: Sending;
  readonly #asking: Asking;
  readonly #tabs = new Tabs();
  readonly #typing: Typing;
  readonly #watching = new Watching();
  #resumes: boolean;
  /** What comes now was missed before. */
  #replaying = false;
  #toldActive = false;

  constructor(parts: Parts) {
    const { settings, opening, remembered, random } = parts;
    this.#settings = settings;
    this.#outbox = new Outbox(opening.outbox, settings.ackTimeoutMs, settings.backoff, random);
    this.#timeline = new Timeline(opening.cursors, settings.backoff, random);
    this.#receipts = new Receipts(settings.receiptDelayMs, remembered.reads);
    this.#reading = new Reading(this.#out, this.#receipts, opening);
    this.#delivery = new Delivery(this.#out, this.#outbox, settings.batchMs);
    this.#delivery.me = remembered.me;
    this.#sending = new Sending(this.#out, this.#outbox, parts.makeId, parts.wall);
    this.#asking = new Asking(this.#out, new Requests(), this.#timeline, this.#delivery, settings);
    this.#typing = new Typing(this.#out);
    this.#resumes = remembered.resumes;
    const route = new Route(parts.server, parts.discover, random, remembered.edges);
    this.#link = new Link(this.#host(), { ...parts, name: parts.name, route, out: this.#out });
  }

  get connection(): Connection {
    return this.#link.connection;
  }

  /** What is not on disk yet, by conversation and order. */
  outbox(): OutboxEntry[] {
    return this.#outbox.entries();
  }

  /** Takes one input; `now` counts milliseconds from an arbitrary moment and never falls. */
  input(now: number, input: Input): Output[] {
    if (this.#link.stopped) this.#afterTheEnd(input);
    else this.#take(now, input);
    if (!this.#link.stopped) {
      this.#pump(now);
      this.#link.leaveOnceAnswered(now);
    }
    this.#reading.flush(this.#delivery.me, now);
    this.#delivery.flush(now);
    return this.#out.take();
  }

  /** When a tick is due; `undefined` while there is nothing to wait for. */
  get deadline(): number | undefined {
    const delivery = this.#delivery.deadline;
    if (this.#link.stopped) return delivery;
    const always = earliest(
      delivery,
      this.#reading.deadline,
      this.#typing.deadline,
      this.#asking.deadline,
      this.#link.deadline,
    );
    const { session } = this.#link;
    if (session === undefined) return always;
    return earliest(
      always,
      this.#asking.repairsDue,
      this.#outbox.deadline,
      session.doubtAt(this.#outbox.oldestSentAt, this.#settings.probeMs),
      this.#receipts.deadline,
      this.#receipts.settled,
      this.#watching.deadline(this.#tabs.watched),
    );
  }

  #take(now: number, input: Input): void {
    switch (input.type) {
      case "start":
        return this.#link.start(now);
      case "token":
        return this.#link.tokenCame(input.token, now);
      case "no_token":
        return this.#link.noToken(input.why, now);
      case "edges":
        return this.#link.edgesCame(input.urls, now);
      case "network":
        return this.#link.network(input.online, now);
      case "command":
        return this.#command(input.ticket, input.command, now);
      case "kept":
        return this.#outbox.kept(input.id);
      case "written":
        this.#delivery.written();
        for (const [conversation, delivered] of input.confirm) {
          this.#receipts.advance(conversation, { delivered, read: 0 }, now);
        }
        return;
      case "tick":
        return this.#tick(now);
      case "awoke":
        return this.#link.awoke(now);
      case "broke":
        return this.#link.broke(now);
      case "stop":
        if (this.#link.session !== undefined) this.#sayReceipts(now);
        return this.#link.stop("stopped");
      default:
        if (this.#link.isCurrent(input.socket)) this.#socket(input, now);
    }
  }

  #socket(input: Extract<Input, { socket: number }>, now: number): void {
    if (input.type === "opened") return this.#link.opened(now);
    if (input.type === "closed") return this.#link.lost(now, input.code);
    this.#link.session?.heard(now);
    if (input.frame !== undefined) this.#frame(input.frame, now);
  }

  #frame(frame: ServerFrame, now: number): void {
    this.#reading.heard(frame);
    if (frame.type === "ready") return this.#link.ready(frame, now);
    if (frame.type === "error" && frame.id === undefined) {
      this.#link.complained(frame);
      if (this.#link.session !== undefined) this.#out.emit("problem", { error: problem(frame) });
      return;
    }
    if (this.#link.session === undefined) return;
    switch (frame.type) {
      case "ack":
        return this.#sending.acked(frame.id, frame.seq);
      case "message": {
        const { type: _, ...message } = frame;
        this.#typing.heard(message.conversation, message.sender, false, now);
        return this.#delivery.take(
          message.conversation,
          this.#timeline.arrived(message, now),
          !this.#replaying,
        );
      }
      case "truncated": {
        const shown = this.#timeline.truncated(frame.conversation, frame.cursor, frame.head);
        return this.#delivery.take(frame.conversation, shown, false);
      }
      case "resumed":
        this.#replaying = false;
        this.#delivery.after(emitting("resumed", { complete: frame.complete }));
        if (!frame.complete) this.#asking.heads(now);
        return;
      case "nudge": {
        const shown = this.#timeline.announced(frame.conversation, frame.head, now, true);
        return this.#delivery.take(frame.conversation, shown, false);
      }
      case "receipts": {
        const { conversation, cursors } = frame;
        const told = emitting("receipts", { conversation, cursors });
        return this.#out.keep([{ put: "receipts", conversation, cursors }], [told]);
      }
      case "typing":
        return this.#typing.heard(frame.conversation, frame.user, frame.active, now);
      case "presence":
        if (frame.id !== undefined && this.#asking.answered(frame.id) !== undefined)
          this.#watching.answered();
        if (frame.users.length > 0) this.#out.emit("presence", { users: frame.users });
        return;
      case "draining":
        return this.#link.draining(frame.edges, frame.within_ms, now);
      case "history":
        return this.#asking.history(frame, now);
      case "conversations":
        return this.#asking.conversations(frame, now);
      case "ok": {
        const purpose = this.#asking.answered(frame.id);
        if (purpose?.for === "token") this.#link.tokenTaken(now);
        return;
      }
      case "error":
        return this.#refused(frame.id!, frame, now);
      case "pong":
    }
  }

  #refused(id: string, frame: Extract<ServerFrame, { type: "error" }>, now: number): void {
    const error = problem(frame);
    const purpose = this.#asking.answered(id);
    if (purpose === undefined) {
      this.#sending.refused(id, error, now);
      if (error.code === "token_expired" || error.code === "unauthorized") this.#link.tokenIsBad(now);
      return;
    }
    switch (purpose.for) {
      case "token":
        // It expired on its way, perhaps in the sleep of a laptop: the next one is fresh.
        return this.#link.tokenNotTaken(error.retryable, now);
      case "watch":
        if (!error.retryable) this.#out.emit("problem", { error });
        return this.#watching.refused(error, now);
      default:
        this.#asking.refused(purpose, error, now);
    }
  }

  #command(ticket: number, command: Command, now: number): void {
    switch (command.do) {
      case "enqueue":
        return this.#sending.enqueue(ticket, command);
      case "retry":
        return this.#sending.retry(ticket, command.id);
      case "discard":
        return this.#sending.discard(ticket, command.id);
      case "read":
        return this.#reading.take(ticket, command.conversation, command.seq, now);
      case "history": {
        const { conversation, anchor, limit } = command;
        const ask = {
          type: "history" as const,
          conversation,
          ...anchor,
          ...(limit !== undefined && { limit }),
        };
        return this.#asking.application(ticket, ask, this.#link.offline, now);
      }
      case "conversations": {
        const { page } = command;
        const ask = { type: "conversations" as const, ...(page !== undefined && { page }) };
        return this.#asking.application(ticket, ask, this.#link.offline, now);
      }
      case "typing":
        if (this.#link.session !== undefined && this.#typing.say(command.conversation, command.active, now)) {
          this.#out.send({ type: "typing", conversation: command.conversation, active: command.active });
        }
        break;
      case "watch":
        this.#tabs.setWatched(command.tab, command.users);
        break;
      case "active":
        this.#tabs.setActive(command.tab, command.active);
        break;
      case "leave":
        this.#tabs.leave(command.tab);
        break;
      case "hurry":
        this.#link.hurry(now);
    }
    this.#out.answer(ticket, null);
  }

  #tick(now: number): void {
    const due = this.deadline;
    if (due !== undefined && now > due + LATE_MS) this.#link.awoke(now);
    for (const purpose of this.#asking.expired(now)) {
      if (purpose.for === "watch") this.#watching.refused(undefined, now);
    }
    this.#typing.tick(now);
    this.#outbox.expire(now);
    const doubtAt = this.#link.session?.doubtAt(this.#outbox.oldestSentAt, this.#settings.probeMs);
    if (doubtAt !== undefined && doubtAt <= now) this.#link.doubt(now);
    this.#link.tick(now);
  }

  /** Whatever may leave now, leaves. */
  #pump(now: number): void {
    const { session } = this.#link;
    if (session === undefined) return;
    // What is not sent yet waits for the next edge.
    const room = this.#link.isLeaving(now) ? 0 : Math.max(session.limits.sends_in_flight_max, 1);
    this.#sending.pump(now, { ...session.limits, sends_in_flight_max: room });
    const { watched } = this.#tabs;
    if (this.#watching.ask(watched, now)) {
      this.#asking.watch(watched.slice(0, session.limits.watch_users_max), now);
    }
    this.#asking.pump(now);
    for (const frame of this.#receipts.take(now)) this.#out.send(frame);
    this.#reading.settle(now);
    const { active } = this.#tabs;
    if (active !== this.#toldActive) {
      this.#toldActive = active;
      this.#out.send({ type: "active", active });
    }
  }

  #sayReceipts(now: number): void {
    for (const frame of this.#receipts.takeAll(now)) this.#out.send(frame);
  }

  #live(ready: Ready, now: number): void {
    const { user, limits, conversations, next } = ready;
    this.#delivery.me = user.id;
    this.#replaying = this.#resumes;
    const changes: Change[] = [
      { put: "value", name: VALUES.user, value: user },
      { put: "value", name: VALUES.limits, value: limits },
      { put: "summaries", summaries: conversations },
    ];
    const told = emitting("ready", { user, limits, conversations, ...(next !== undefined && { next }) });
    this.#out.keep(changes, [told]);
    if (this.#resumes) this.#confirmAgain(ready, now);
    else this.#asking.baseline(conversations, next, now, false);
    this.#resumes = true;
  }

  /** What an earlier run stored and did not live to confirm. */
  #confirmAgain({ conversations, user }: Ready, now: number): void {
    for (const { conversation, cursor, head, last_message } of conversations) {
      const here = this.#timeline.cursor(conversation) ?? 0;
      if (cursor.delivered >= Math.min(head, here) || last_message?.sender === user.id) continue;
      this.#receipts.advance(conversation, { delivered: Math.min(head, here), read: 0 }, now);
    }
  }

  #host(): LinkHost {
    return {
      hello: () => {
        this.#toldActive = this.#tabs.active;
        const active = this.#toldActive;
        return this.#resumes ? { resume: this.#timeline.cursors(), active } : { active };
      },
      live: (ready, now) => this.#live(ready, now),
      lost: (now) => {
        this.#outbox.disconnected();
        this.#timeline.disconnected();
        this.#receipts.disconnected(now);
        this.#asking.disconnected(this.#link.offline);
        this.#typing.disconnected(now);
        this.#watching.disconnected();
        this.#replaying = false;
      },
      parting: (now) => this.#sayReceipts(now),
      inFlight: () => this.#outbox.inFlight,
      handIn: (token, now) => this.#asking.token(token.token, now),
      ended: () => {
        this.#asking.ended();
        this.#reading.finish(this.#delivery.me);
      },
    };
  }

  #afterTheEnd(input: Input): void {
    if (input.type === "written") this.#delivery.written();
    if (input.type === "command") this.#out.reject(input.ticket, new StoppedError("the client has stopped"));
  }
}

function problem(frame: Extract<ServerFrame, { type: "error" }>): {
  code: typeof frame.code;
  message: string;
  retryable: boolean;
  retry_after_ms?: number;
} {
  const { code, message, retryable, retry_after_ms } = frame;
  return { code, message, retryable, ...(retry_after_ms !== undefined && { retry_after_ms }) };
}

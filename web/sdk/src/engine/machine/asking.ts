/**
 * Questions to the server and what becomes of their answers: those of the application, of the timeline for its
 * gaps, and of a session that begins.
 *
 * @module
 */
import { ServerError, StoppedError, UnreachableError } from "../../errors.js";
import type { Change } from "../../store/store.js";
import type { Conversation, ServerFrame, Summary, UserId, WireError } from "../../wire.js";
import type { Ask, Purpose, Requests } from "../requests.js";
import type { Timeline } from "../timeline/timeline.js";
import type { Delivery } from "./delivery.js";
import { type Outlet, type Settings, earliest } from "./io.js";

/** Repairs that are asked at the same time; the rest of the session's questions are for the application. */
const REPAIRS_MAX = 2;

/** The asking side of a machine. Times are milliseconds that never fall. */
export class Asking {
  readonly #out: Outlet;
  readonly #requests: Requests;
  readonly #timeline: Timeline;
  readonly #delivery: Delivery;
  readonly #timeoutMs: number;

  constructor(out: Outlet, requests: Requests, timeline: Timeline, delivery: Delivery, settings: Settings) {
    this.#out = out;
    this.#requests = requests;
    this.#timeline = timeline;
    this.#delivery = delivery;
    this.#timeoutMs = settings.requestTimeoutMs;
  }

  /** A question of the application; while the device is off it is answered at once. */
  application(ticket: number, ask: Ask, offline: boolean, now: number): void {
    if (offline) return this.#out.reject(ticket, new UnreachableError("this device is offline"));
    if (this.#requests.add({ for: "application", ticket }, ask, now + this.#timeoutMs)) return;
    const busy = "too many questions wait for an answer already: ask again when some are answered";
    this.#out.reject(ticket, new UnreachableError(busy));
  }

  watch(users: UserId[], now: number): void {
    this.#requests.add({ for: "watch" }, { type: "watch", users }, now + this.#timeoutMs);
  }

  token(token: string, now: number): void {
    this.#requests.add({ for: "token", token }, { type: "token", token }, now + this.#timeoutMs);
  }

  /**
   * A new device starts at the present: the heads of all conversations are its cursors. Those beyond the first
   * page are asked for (`soft`: they are read beside the live tail), or the next resume would replay them.
   */
  baseline(conversations: readonly Summary[], next: string | undefined, now: number, soft: boolean): void {
    const changes: Change[] = [];
    for (const { conversation, head } of conversations) {
      if (this.#timeline.know(conversation, head, soft))
        changes.push({ put: "cursor", conversation, seq: head });
    }
    if (changes.length > 0) this.#out.keep(changes);
    if (next !== undefined) this.#page({ for: "baseline" }, next, now);
  }

  /** Compares the heads of all conversations with what is here, and asks for what is missing. */
  heads(now: number): void {
    this.#page({ for: "heads" }, undefined, now);
  }

  /** Asks what may be asked now. */
  pump(now: number): void {
    const room = REPAIRS_MAX - this.#requests.count("repair");
    for (const [conversation, after] of this.#timeline.due(now, room)) {
      const ask: Ask = { type: "history", conversation, after };
      this.#requests.add({ for: "repair", conversation }, ask, now + this.#timeoutMs);
    }
    for (const frame of this.#requests.pump()) this.#out.send(frame);
  }

  /** What an answer without a content of its own belongs to. */
  answered(id: string): Purpose | undefined {
    return this.#requests.answered(id);
  }

  history(frame: Extract<ServerFrame, { type: "history" }>, now: number): void {
    const { type: _, id, ...page } = frame;
    const fits = (ask: Ask): boolean => ask.type === "history" && ask.conversation === page.conversation;
    const purpose = this.#requests.answered(id, fits);
    if (purpose?.for === "application") this.#out.answer(purpose.ticket, page);
    if (purpose?.for === "repair") {
      this.#delivery.take(page.conversation, this.#timeline.page(page, now), false);
    }
  }

  conversations(frame: Extract<ServerFrame, { type: "conversations" }>, now: number): void {
    const { type: _, id, ...page } = frame;
    const purpose = this.#requests.answered(id, (ask) => ask.type === "conversations");
    if (purpose === undefined) return;
    const put: Change[] = [{ put: "summaries", summaries: page.conversations }];
    switch (purpose.for) {
      case "application":
        return this.#out.keep(put, [{ type: "answer", ticket: purpose.ticket, answer: page }]);
      case "baseline":
        this.#out.keep(put);
        return this.baseline(page.conversations, page.next, now, true);
      case "heads":
        this.#out.keep(put);
        for (const { conversation, head } of page.conversations) {
          this.#delivery.take(conversation, this.#timeline.announced(conversation, head, now, false), false);
        }
        if (page.next !== undefined) this.#page(purpose, page.next, now);
    }
  }

  /** The server answered with an error; without one, not in time. */
  refused(purpose: Purpose, error: WireError | undefined, now: number): void {
    if (purpose.for === "application") {
      const late = new UnreachableError("the server did not answer in time");
      this.#out.reject(purpose.ticket, error === undefined ? late : new ServerError(error));
    } else if (purpose.for === "repair") {
      this.#repairRefused(purpose.conversation, error, now);
    }
    // A token is handed in again by its own timer, and without the rest the next resume is only longer.
  }

  /** Those without an answer for too long. */
  expired(now: number): Purpose[] {
    const expired = this.#requests.expired(now);
    for (const purpose of expired) this.refused(purpose, undefined, now);
    return expired;
  }

  /** The connection is gone. The application's questions are asked again, unless the device is off. */
  disconnected(offline: boolean): void {
    this.#requests.disconnected();
    if (offline) this.#rejectAll(new UnreachableError("this device is offline"));
  }

  /** Nothing is answered any more. */
  ended(): void {
    this.#rejectAll(new StoppedError("the client has stopped"));
  }

  /** When the next question has waited for too long. */
  get deadline(): number | undefined {
    return this.#requests.deadline;
  }

  /** When history is to be asked for a gap; while as many are asked as may be, an answer comes first. */
  get repairsDue(): number | undefined {
    return this.#requests.count("repair") < REPAIRS_MAX ? earliest(this.#timeline.deadline) : undefined;
  }

  #repairRefused(conversation: Conversation, error: WireError | undefined, now: number): void {
    this.#delivery.take(conversation, this.#timeline.refused(conversation, error, now), false);
  }

  #page(purpose: Purpose, page: string | undefined, now: number): void {
    const ask: Ask = { type: "conversations", ...(page !== undefined && { page }) };
    this.#requests.add(purpose, ask, now + this.#timeoutMs);
  }

  #rejectAll(error: Error): void {
    for (const purpose of this.#requests.drain("application")) {
      if (purpose.for === "application") this.#out.reject(purpose.ticket, error);
    }
  }
}

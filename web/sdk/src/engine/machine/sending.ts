/**
 * From what the application writes to the frames that leave, by way of the store.
 *
 * @module
 */
import { ServerError, UsageError } from "../../errors.js";
import type { OutboxEntry } from "../../events.js";
import type { Change } from "../../store/store.js";
import type { Limits, MessageId, Seq, WireError } from "../../wire.js";
import type { Command } from "../engine.js";
import { type Gone, OUTBOX_MAX, type Outbox, isOfTheSession, sameContent } from "../outbox.js";
import { type Outlet, type Telling, emitting } from "./io.js";

type Enqueue = Extract<Command, { do: "enqueue" }>;

/** The sending side of a machine. */
export class Sending {
  readonly #out: Outlet;
  readonly #outbox: Outbox;
  readonly #makeId: () => MessageId;
  readonly #wall: () => number;

  constructor(out: Outlet, outbox: Outbox, makeId: () => MessageId, wall: () => number) {
    this.#out = out;
    this.#outbox = outbox;
    this.#makeId = makeId;
    this.#wall = wall;
  }

  /** Takes what was written; answered, and sent, once the store has it. */
  enqueue(ticket: number, { conversation, content, id }: Enqueue): void {
    const wellFormed = sendable(content);
    if (typeof wellFormed === "string") return this.#out.reject(ticket, new UsageError(wellFormed));
    const present = id === undefined ? undefined : this.#outbox.find(id);
    if (present !== undefined) {
      // Said twice, as by a tab that did not hear the answer.
      const same = present.conversation === conversation && sameContent(present.content, wellFormed);
      return same ? this.#out.answer(ticket, present) : this.#out.reject(ticket, new ServerError(CONFLICT));
    }
    const gone = id === undefined ? undefined : this.#outbox.gone(id);
    if (gone?.entry.conversation === conversation && sameContent(gone.entry.content, wellFormed))
      return this.#tellAgain(ticket, gone);
    if (this.#outbox.size >= OUTBOX_MAX) {
      const message = `${OUTBOX_MAX} messages wait to be sent already: wait until some have left`;
      return this.#out.reject(ticket, new UsageError(message));
    }
    const order = this.#outbox.nextOrder(conversation);
    const at = this.#wall();
    this.#keep(ticket, { id: id ?? this.#makeId(), conversation, order, at, content: wellFormed });
  }

  /** A refused entry goes again: as a new message, for the old one is refused for good. */
  retry(ticket: number, id: MessageId): void {
    const refused = this.#outbox.find(id);
    if (refused === undefined)
      return this.#out.reject(ticket, new UsageError("there is no such message to retry"));
    if (refused.failed === undefined) return this.#out.answer(ticket, refused);
    const { failed, ...entry } = refused;
    const order = this.#outbox.nextOrder(entry.conversation);
    if (isOfTheSession(failed)) {
      this.#outbox.remove(id);
      return this.#keep(ticket, { ...entry, order });
    }
    this.#outbox.settle(id, "discarded");
    this.#keep(ticket, { ...entry, id: this.#makeId(), order, at: this.#wall() }, refused);
  }

  /** It is not wanted any more. One that is on its way may be stored all the same, and is seen then. */
  discard(ticket: number, id: MessageId): void {
    const entry = this.#outbox.settle(id, "discarded");
    if (entry === undefined) return this.#out.answer(ticket, null);
    const gone = emitting("outbox", { entry, done: "discarded" });
    this.#out.keep([{ drop: "outbox", id }], [gone, { type: "answer", ticket, answer: null }]);
  }

  /** Sends whatever may leave now. */
  pump(now: number, limits: Limits): void {
    const { frames, rejected } = this.#outbox.pump(now, limits);
    for (const frame of frames) this.#out.send(frame);
    for (const { entry } of rejected) this.#tellRefused(entry);
  }

  /** The message of that id is on disk. */
  acked(id: MessageId, seq: Seq): void {
    const entry = this.#outbox.settle(id, { seq });
    if (entry === undefined) return;
    this.#out.keep([{ drop: "outbox", id }], [emitting("outbox", { entry, done: { seq } })]);
  }

  /** The server answered with an error. */
  refused(id: MessageId, error: WireError, now: number): void {
    const entry = this.#outbox.refused(id, error, now);
    if (entry !== undefined) this.#tellRefused(entry);
  }

  /**
   * A tab that led before and slept hands over what this one has sent or discarded since: it is not sent again, goes
   * from the store if that tab has put it back, and is told for those who did not hear of it.
   */
  #tellAgain(ticket: number, { entry, done }: Gone): void {
    const told = emitting("outbox", { entry, done });
    this.#out.keep([{ drop: "outbox", id: entry.id }], [told, { type: "answer", ticket, answer: entry }]);
  }

  #tellRefused(entry: OutboxEntry): void {
    this.#out.keep([{ put: "outbox", entry }], [emitting("outbox", { entry })]);
  }

  /** One that it replaces goes in the same write: the text is in the store at every moment. */
  #keep(ticket: number, entry: OutboxEntry, replaced?: OutboxEntry): void {
    this.#outbox.push(entry);
    const changes: Change[] = [{ put: "outbox", entry }];
    const tell: Telling[] = [emitting("outbox", { entry })];
    if (replaced !== undefined) {
      changes.unshift({ drop: "outbox", id: replaced.id });
      tell.unshift(emitting("outbox", { entry: replaced, done: "discarded" }));
    }
    tell.push({ type: "answer", ticket, answer: entry });
    this.#out.keep(changes, tell, { type: "kept", id: entry.id });
  }
}

const CONFLICT: WireError = {
  code: "conflict",
  message: "this id waits for its ack with another content: give each message its own id",
  retryable: false,
};

/** The content as it can be sent, or what is wrong with it. Half of a surrogate pair is no text and becomes �. */
function sendable(content: OutboxEntry["content"]): OutboxEntry["content"] | string {
  if (content.kind === "delete") return content;
  if (content.text === "") return "a message needs a text";
  if (content.text.includes("\0")) return "a text must not hold the character U+0000";
  return { ...content, text: content.text.replace(/\p{Surrogate}/gu, "\uFFFD") };
}

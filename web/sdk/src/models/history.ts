/**
 * Where a thread's messages come from: the store where it holds them without a hole, the server otherwise. What
 * the server tells is kept.
 *
 * @module
 */
import { UnreachableError } from "../errors.js";
import type { Anchor, Conversation, Message, Millis, Page, Seq } from "../wire.js";
import { type Context, keep } from "./context.js";
import type { Place } from "./models.js";
import { runAround } from "./piece.js";

/** Messages of one load. */
export const PAGE = 60;
/** Messages around a place, both sides together. */
const AROUND = 80;

/** Some messages without a hole, ascending. */
export interface Load {
  messages: Message[];
  /** Nothing comes before the first. */
  atStart?: boolean;
  /** The server said: nothing comes after the last but what is beyond this head. */
  head?: Seq;
}

/** Loads pieces of one conversation. */
export class History {
  readonly #context: Context;
  readonly #conversation: Conversation;

  constructor(context: Context, conversation: Conversation) {
    this.#context = context;
    this.#conversation = conversation;
  }

  /** What is kept just before `first`, whose predecessor is `begin`. */
  async keptBefore(first: Seq, begin: Seq): Promise<Load> {
    if (begin === 0) return { messages: [] };
    const kept = await this.#context.store.messages(this.#conversation, { before: first, limit: PAGE });
    if (kept.at(-1)?.seq !== begin) return { messages: [] };
    return this.#fromStore(runAround(kept, kept.length - 1));
  }

  /** What is kept just after `end`. */
  async keptAfter(end: Seq): Promise<Load> {
    const kept = await this.#context.store.messages(this.#conversation, { after: end, limit: PAGE });
    if (kept[0] === undefined || kept[0].prev !== end || end === 0) return { messages: [] };
    return { messages: runAround(kept, 0) };
  }

  /** What is kept around a place; nothing, unless the place itself is there. */
  async keptAt(place: Place, read: Seq): Promise<Load | undefined> {
    const { store } = this.#context;
    if (place.at === "end") {
      const kept = await store.messages(this.#conversation, { limit: PAGE });
      return kept.length === 0 ? undefined : this.#fromStore(runAround(kept, kept.length - 1));
    }
    if (place.at === "time") return this.#keptAtTime(place.time);
    const seq = place.at === "seq" ? place.seq : read;
    const half = AROUND / 2;
    const [before, after] = await Promise.all([
      store.messages(this.#conversation, { before: seq + 1, limit: half }),
      store.messages(this.#conversation, { after: seq, limit: half }),
    ]);
    const at = before.length - 1;
    if (before[at]?.seq !== seq) return undefined;
    return this.#fromStore(runAround([...before, ...after], at));
  }

  /** A piece from the server. */
  async at(place: Place, read: Seq): Promise<Load> {
    switch (place.at) {
      case "end":
        return this.#load({}, PAGE);
      case "unread":
        return read > 0 ? this.#load({ around: read }, AROUND) : this.#load({ after: 0 }, PAGE);
      case "seq":
        return this.#load({ around: place.seq }, AROUND);
      case "time":
        return this.#load({ at: place.time }, AROUND);
    }
  }

  before(first: Seq): Promise<Load> {
    return this.#load({ before: first }, PAGE);
  }

  after(end: Seq): Promise<Load> {
    return this.#load({ after: end }, PAGE);
  }

  /** One message, from wherever it is. */
  async message(seq: Seq): Promise<Message | undefined> {
    const kept = await this.#context.store.message(this.#conversation, seq);
    if (kept !== undefined) return kept;
    const page = await this.#page({ around: seq }, 1);
    return page.messages.find((message) => message.seq === seq);
  }

  async #load(anchor: Anchor, limit: number): Promise<Load> {
    const page = await this.#page(anchor, limit);
    const load: Load = { messages: page.messages, atStart: !page.more_before };
    if (!page.more_after) load.head = page.head;
    const first = page.messages[0];
    if (first !== undefined) {
      keep(this.#context.store, [
        { put: "messages", conversation: this.#conversation, messages: page.messages },
        ...(load.atStart ? [{ put: "value", name: this.#startName, value: first.seq } as const] : []),
      ]);
    }
    return load;
  }

  #page(anchor: Anchor, limit: number): Promise<Page> {
    const { state } = this.#context.connection;
    // While it is being connected the answer is worth waiting for; between attempts it is not.
    if (state === "waiting" || state === "stopped") {
      return Promise.reject(new UnreachableError("there is no connection"));
    }
    return this.#context.ask({ do: "history", conversation: this.#conversation, anchor, limit });
  }

  /** The server's word on where the conversation starts is kept: a `prev` of 0 does not prove it. */
  get #startName(): string {
    return `start:${this.#conversation}`;
  }

  async #fromStore(messages: Message[]): Promise<Load> {
    const first = messages[0];
    if (first === undefined || first.prev !== 0) return { messages };
    return { messages, atStart: (await this.#context.store.value(this.#startName)) === first.seq };
  }

  /** Looks through what is kept from its end: without a connection that is better than nothing. */
  async #keptAtTime(time: Millis): Promise<Load | undefined> {
    const { store } = this.#context;
    let run: Message[] = [];
    for (;;) {
      const first = run[0];
      const kept = await store.messages(this.#conversation, {
        ...(first && { before: first.seq }),
        limit: 200,
      });
      const joined = runAround([...kept, ...run], first === undefined ? kept.length - 1 : kept.length);
      if (joined.length === run.length) break;
      run = joined;
      if (run[0]!.sent_at < time) break;
    }
    const index = run.findIndex((message) => message.sent_at >= time);
    // Only where the place is surely in it.
    if (index <= 0) return undefined;
    return this.#fromStore(run.slice(Math.max(0, index - AROUND / 2), index + AROUND / 2));
  }
}

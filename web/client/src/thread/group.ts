/**
 * From a thread's items to the rows of the list: runs of one sender, the days, the divider, names.
 *
 * A row is the same object as before while nothing of it changed, so that only what changed is drawn again.
 *
 * @module
 */
import type { MessageId, Millis, ThreadItem, UserId } from "natterjack-sdk";

import { cut } from "./collapse";

/** What a quote of another message shows. */
export interface Quote {
  readonly seq: number;
  /** Empty while the message is being fetched. */
  readonly name: string;
  readonly text: string;
  readonly deleted: boolean;
}

/** One row: an item, and what stands around it. */
export interface Row {
  readonly key: MessageId;
  readonly item: ThreadItem;
  /** The first and the last of a run of one sender. */
  readonly head: boolean;
  readonly tail: boolean;
  /** When the day began that begins with this row. */
  readonly day: Millis | undefined;
  /** "New messages" stands before it. */
  readonly divider: boolean;
  readonly name: string;
  readonly quote: Quote | undefined;
  /** Of an event: what happened, in words. */
  readonly line: string | undefined;
}

/** What rows are made with. */
export interface Words {
  name(user: UserId): string;
  event(item: ThreadItem): string;
}

/** Texts of one sender belong together when they are no further apart. */
const RUN_MS = 5 * 60_000;
/** A quote shows no more of a text. */
const QUOTE_UNITS = 160;

/** Makes rows, and remembers them. */
export class Rows {
  readonly #words: Words;
  #rows = new Map<MessageId, Row>();
  #dayFrom = 0;
  #dayTo = 0;

  constructor(words: Words) {
    this.#words = words;
  }

  /** Names may have changed: all rows are made anew, and those that are equal stay the same objects. */
  forget(): void {
    this.#rows = new Map([...this.#rows].map(([key, row]) => [key, this.#named(row)]));
  }

  /**
   * The rows of these items. `before` is the item before them, or whether there is none; where that is not known,
   * no day is named yet.
   */
  build(
    items: readonly ThreadItem[],
    divider: MessageId | undefined,
    before: ThreadItem | boolean,
  ): readonly Row[] {
    const rows = new Map<MessageId, Row>();
    const [first] = items;
    const last = typeof before === "object" ? before : undefined;
    let dayBefore = last && this.#day(last.at);
    if (before === false && first) dayBefore = this.#day(first.at);
    let headsRun = !last || !first || !joins(last, first);
    for (const [index, item] of items.entries()) {
      const next = items[index + 1];
      const day = this.#day(item.at);
      const newDay = day !== dayBefore;
      const isDivider = item.key === divider;
      const head = headsRun || newDay || isDivider;
      const ends = !next || next.key === divider || !joins(item, next) || this.#day(next.at) !== day;
      const known = this.#rows.get(item.key);
      const same =
        known?.item === item &&
        known.head === head &&
        known.tail === ends &&
        known.divider === isDivider &&
        known.day === (newDay ? day : undefined);
      rows.set(
        item.key,
        same
          ? known
          : this.#named({
              key: item.key,
              item,
              head,
              tail: ends,
              day: newDay ? day : undefined,
              divider: isDivider,
              name: "",
              quote: undefined,
              line: undefined,
            }),
      );
      dayBefore = day;
      headsRun = ends;
    }
    this.#rows = rows;
    return [...rows.values()];
  }

  #named(row: Row): Row {
    const { item } = row;
    const name = this.#words.name(item.sender);
    const line = item.kind === "event" ? this.#words.event(item) : undefined;
    const quote = item.replyTo && {
      seq: item.replyTo.seq,
      name: item.replyTo.item ? this.#words.name(item.replyTo.item.sender) : "",
      text: cut(item.replyTo.item?.text ?? "", QUOTE_UNITS),
      deleted: item.replyTo.item?.deleted ?? false,
    };
    const same = name === row.name && line === row.line && equal(quote, row.quote);
    return same ? row : { ...row, name, line, quote };
  }

  /** When the day of a time began, here. Neighbours are mostly of one day. */
  #day(at: Millis): Millis {
    if (at < this.#dayFrom || at >= this.#dayTo) {
      const day = new Date(at);
      this.#dayFrom = day.setHours(0, 0, 0, 0);
      this.#dayTo = day.setDate(day.getDate() + 1);
    }
    return this.#dayFrom;
  }
}

function joins(item: ThreadItem, next: ThreadItem): boolean {
  return (
    item.kind === "text" &&
    next.kind === "text" &&
    item.sender === next.sender &&
    Math.abs(next.at - item.at) <= RUN_MS
  );
}

function equal(one: Quote | undefined, other: Quote | undefined): boolean {
  if (!one || !other) return one === other;
  return (
    one.seq === other.seq &&
    one.name === other.name &&
    one.text === other.text &&
    one.deleted === other.deleted
  );
}

/**
 * The state of the message list: which rows stand in the document, and where the reader is among them.
 *
 * Every change of rows goes through {@link MessageWindow.change}: learn where the reader is, change the document at
 * once, put the reader back. Nothing else moves the list but the reader and the jumps here.
 *
 * @module
 */
import type { Client, Conversation, Millis, Place, Seq, Thread, ThreadView } from "natterjack-sdk";
import { flushSync } from "svelte";

import { Anchor } from "./anchor.js";
import { Divider } from "./divider.js";
import { type Row, Rows, type Words } from "./group.js";
import { known } from "./known.js";
import { attentive, flash, onAttention } from "./looking.js";
import { Momentum } from "./momentum.js";
import { leave, returning } from "./places.js";
import { Seen } from "./seen.js";
import { ListSurface } from "./surface.js";
import { around, atEnd, carry, extend, holds, type Range, ROWS_AROUND } from "./window.js";

/** More is fetched while less than so many heights of the list are left at that end. */
const AHEAD = 1.5;
const AHEAD_MIN_PX = 900;
/** What is jumped to stands so far below the upper edge at least: below the date. */
const HEADROOM_PX = 56;

/** What a jump is to show, until it has been reached or the reader scrolls. */
interface Goal {
  readonly show: "unread" | "end" | "message" | "day";
  readonly seq?: Seq | undefined;
  /** The item, once the thread has named it. */
  key?: string;
  /** Where its text is to stand; in the middle if that is not said. */
  top?: number | undefined;
  flash?: boolean;
}

/** One conversation's list. */
export class MessageWindow {
  readonly thread: Thread;
  /** The last of the thread; its items change with `rows`, at once. */
  view = $state.raw<ThreadView>({ items: [], atStart: false, atEnd: false, loading: "start" });
  rows = $state.raw<readonly Row[]>([]);
  /** Whether the reader is not at the newest message. */
  away = $state(false);
  /** When the day began of which the first row in view is, unless that row says so. */
  day = $state<Millis | undefined>();
  /** Whether anything has been shown. */
  settled = $state(false);

  readonly #client: Client;
  readonly #conversation: Conversation;
  readonly #maker: Rows;
  #range: Range = { from: 0, to: 0 };
  #divider: Divider | undefined;
  #goal: Goal | undefined;
  readonly #seen: Seen;
  /** When a snapshot was last shown, and the next one if it waits. */
  #shown = -Infinity;
  #later: ReturnType<typeof setTimeout> | undefined;
  #surface: ListSurface | undefined;
  #anchor: Anchor<Element> | undefined;
  #rowsElement: HTMLElement | undefined;
  #momentum = new Momentum(() => this.#apply());
  #undo: (() => void)[] = [];

  constructor(client: Client, conversation: Conversation, words: Words) {
    this.#client = client;
    this.#conversation = conversation;
    this.#maker = new Rows(words);
    this.thread = client.thread(conversation);
    this.#seen = new Seen(
      () => this.#watched,
      () => this.#lastSeen(),
      (seq) => void client.read(conversation, seq).catch(() => undefined),
    );
  }

  /** Begins, with the list's elements; `jumpTo` is a message to show. Answers how to end. */
  attach(scroller: HTMLElement, rows: HTMLElement, jumpTo: Seq | undefined): () => void {
    this.#surface = new ListSurface(scroller, rows);
    this.#anchor = new Anchor(this.#surface);
    this.#rowsElement = rows;
    const resized = new ResizeObserver(() => this.#resized());
    resized.observe(scroller);
    resized.observe(rows);
    this.#undo = [
      this.thread.subscribe(() => this.#heard()),
      this.#client.people.subscribe(() => this.rename()),
      this.#client.on("connection", ({ state }) => {
        // What failed for want of a connection is tried again by itself.
        if (state === "online" && this.view.error) this.#more(true);
      }),
      onAttention(() => this.#seen.look()),
      () => resized.disconnect(),
    ];
    void this.#open(jumpTo);
    return () => this.#end();
  }

  /** Names have changed, or the language. */
  rename(): void {
    if (!this.#anchor) return;
    this.change(() => {
      this.#maker.forget();
      this.#build();
    });
  }

  /** Changes what stands in the document, and keeps the reader's place. */
  change(act: () => void): void {
    const anchor = this.#anchor;
    if (!anchor) return act();
    anchor.observe(this.#ends);
    flushSync(act);
    anchor.restore();
    this.#after();
  }

  /** The reader scrolled. */
  scrolled(): void {
    const anchor = this.#anchor;
    if (!anchor) return;
    this.#momentum.moved();
    anchor.observe(this.#ends);
    this.#after();
    this.#more(false);
  }

  /** A row is about to grow: what is in view stays, also at the end. */
  growing(): void {
    this.#anchor?.hold();
    this.#after();
  }

  /** A row became shorter under the reader: if it begins above the view, the view goes to where it begins. */
  shrunk(row: Element): void {
    this.change(() => undefined);
    if ((this.#surface?.top(row) ?? 0) < 0) this.#anchor?.bring(row, HEADROOM_PX, this.#ends);
  }

  /** The reader took hold of the list: a jump under way gives in. */
  grabbed(): void {
    this.#goal = undefined;
  }

  /** To a message. Resolves with whether it is there. */
  async toMessage(seq: Seq): Promise<boolean> {
    return this.#jump({ at: "seq", seq }, { show: "message", seq, flash: true });
  }

  /** To the first message of a day or after it. Resolves with whether there is one. */
  async toDay(time: Millis): Promise<boolean> {
    return this.#jump({ at: "time", time }, { show: "day" });
  }

  /** To the newest message. */
  async toEnd(): Promise<void> {
    if (this.view.atEnd) {
      this.#goal = undefined;
      this.#anchor?.stick();
      this.change(() => {
        if (!this.#ends) this.#range = atEnd(this.view.items.length);
        this.#build();
      });
      return;
    }
    await this.#jump({ at: "end" }, { show: "end" });
  }

  /** Tries again what failed to load. */
  again(): void {
    if (this.view.items.length === 0) void this.#open(undefined);
    else this.#more(true);
  }

  /** The element of a row. */
  element(key: string): HTMLElement | undefined {
    const index = this.rows.findIndex((row) => row.key === key);
    return this.#rowsElement?.children[index] as HTMLElement | undefined;
  }

  /** Whether the last item of the conversation is the last row. */
  get #ends(): boolean {
    return this.view.atEnd && this.#range.to === this.view.items.length;
  }

  async #open(jumpTo: Seq | undefined): Promise<void> {
    await known(this.#client, this.#conversation);
    const left = returning(this.#conversation);
    const seq = jumpTo ?? left?.seq;
    const goal: Goal = {
      show: "message",
      ...(jumpTo === undefined ? left : { seq: jumpTo }),
      flash: jumpTo !== undefined,
    };
    const there = seq !== undefined && (await this.#jump({ at: "seq", seq }, goal));
    if (!there && this.#anchor) await this.#jump({ at: "unread" }, { show: "unread" });
    this.settled = true;
    this.#seen.look();
  }

  async #jump(place: Place, goal: Goal): Promise<boolean> {
    this.#goal = goal;
    if (place.at === "seq" && this.view.items.some((item) => item.seq === place.seq)) {
      this.#apply(true);
      this.#goal = undefined;
      return true;
    }
    let key: string | undefined;
    try {
      key = await this.thread.jump(place);
    } catch {
      // The view's error says why; what is there stays.
    }
    if (this.#goal !== goal) return key !== undefined;
    if (key !== undefined) goal.key = key;
    this.#apply(true);
    // The piece may begin with what is meant: what comes before it belongs on the screen too.
    if (goal.show === "message" && (this.#target() ?? Infinity) < ROWS_AROUND && !this.view.atStart) {
      await this.thread.older().catch(() => undefined);
      if (this.#goal !== goal) return key !== undefined;
      this.#apply(true);
    }
    this.#goal = undefined;
    return key !== undefined;
  }

  /** There is a new snapshot: shown at once, or in a moment when many come. */
  #heard(): void {
    const wait = this.#shown + FLOOD_MS - performance.now();
    // What one wrote oneself shows without delay.
    if (wait <= 0 || this.#goal || this.thread.snapshot.items.at(-1)?.status === "waiting") this.#apply();
    else this.#later ??= setTimeout(() => this.#apply(), wait);
  }

  /** Shows the thread's snapshot; `anew` also without a change of it. */
  #apply(anew = false): void {
    clearTimeout(this.#later);
    this.#later = undefined;
    const next = this.thread.snapshot;
    const anchor = this.#anchor;
    if (!anchor || (next === this.view && !anew)) return;
    if (!anew && !this.#goal && this.#momentum.holds(this.#surface)) return;
    this.change(() => {
      const follow = anchor.stuck && !this.#goal;
      const carried = carry(this.#range, this.view.items, next.items, follow);
      this.view = next;
      this.#range = carried ?? atEnd(next.items.length);
      this.#divide();
      const target = this.#target();
      if (target !== undefined && !holds(this.#range, target)) {
        this.#range = around(next.items.length, target);
      } else if (!carried || (this.#goal?.show === "end" && !this.#ends)) {
        this.#range = atEnd(next.items.length);
      }
      this.#build();
    });
    this.#shown = performance.now();
    this.#reach();
    // Much came at once: the rest in a moment, so that no task is long.
    if (anchor.stuck && this.#range.to < next.items.length) this.#later = setTimeout(() => this.#apply(true));
    else this.#more(false);
  }

  #divide(): void {
    const { dividerAfter, items } = this.view;
    if (this.view.loading === "start" && dividerAfter === undefined) return;
    // Without a divider all was read: what comes from now on is new, if nobody looks.
    const { head } = this.#client.conversations.get(this.#conversation)?.summary ?? {};
    const last = items.findLast((item) => item.seq !== undefined)?.seq;
    this.#divider ??= new Divider(dividerAfter ?? head ?? last ?? 0);
    const watched = this.#watched && this.#anchor?.stuck === true && this.view.atEnd;
    this.#divider.update(items, watched, this.#seen.upTo);
  }

  #build(): void {
    const { items, atStart } = this.view;
    const { from, to } = this.#range;
    this.rows = this.#maker.build(items.slice(from, to), this.#divider?.key, items[from - 1] ?? atStart);
  }

  /** The index of the item that the jump under way is to show. */
  #target(): number | undefined {
    const goal = this.#goal;
    const { items } = this.view;
    if (!goal || goal.show === "end") return undefined;
    const key = goal.show === "unread" ? this.#divider?.key : goal.key;
    let index = items.findIndex((item) => item.key === key);
    if (index === -1 && goal.seq !== undefined) index = items.findIndex((item) => item.seq === goal.seq);
    return index === -1 ? undefined : index;
  }

  /** Moves to what the jump under way is to show, if it is there. */
  #reach(): void {
    const goal = this.#goal;
    const anchor = this.#anchor;
    const surface = this.#surface;
    if (!goal || !anchor || !surface || this.rows.length === 0) return;
    const target = this.#target();
    const row = target === undefined ? undefined : this.#rowsElement?.children[target - this.#range.from];
    if (!row) {
      // Without a message to show it is the end, as far as that is there.
      if (goal.show !== "unread" && goal.show !== "end") return;
      anchor.stick();
      anchor.restore();
    } else if (goal.show === "unread") {
      anchor.bring(row, surface.clientHeight / 3, this.#ends);
    } else if (goal.show === "day") {
      anchor.bring(row, HEADROOM_PX, this.#ends);
    } else if (goal.show === "message") {
      const text = row.querySelector("[data-mark]") ?? row;
      const room = surface.clientHeight - text.getBoundingClientRect().height;
      goal.top ??= Math.max(HEADROOM_PX, room / 2);
      anchor.bring(text, goal.top, this.#ends);
      if (goal.flash) flash(row);
      goal.flash = false;
    }
    this.#after();
  }

  #after(): void {
    const anchor = this.#anchor;
    const surface = this.#surface;
    if (!anchor || !surface) return;
    const away = !anchor.stuck;
    if (away !== this.away) this.away = away;
    this.thread.follow(!away);
    const first = this.rows[surface.first()];
    // Where the day begins it says so itself.
    const day = first && first.day === undefined ? new Date(first.item.at).setHours(0, 0, 0, 0) : undefined;
    if (day !== this.day) this.day = day;
    this.#seen.look();
  }

  #resized(): void {
    this.#anchor?.observe(this.#ends);
    this.#anchor?.restore();
    this.#after();
    this.#more(false);
  }

  /** Brings more rows where an end is near; `again` also where the last attempt failed. */
  #more(again: boolean): void {
    const surface = this.#surface;
    const { items, atStart, loading, error } = this.view;
    if (!surface || this.#goal || items.length === 0 || this.#later !== undefined) return;
    const near = Math.max(AHEAD * surface.clientHeight, AHEAD_MIN_PX);
    const below = surface.scrollHeight - surface.clientHeight - surface.scrollTop;
    for (const side of surface.scrollTop < below
      ? (["start", "end"] as const)
      : (["end", "start"] as const)) {
      if ((side === "start" ? surface.scrollTop : below) >= near) continue;
      const range = extend(this.#range, items.length, side);
      if (range !== this.#range) {
        this.change(() => {
          this.#range = range;
          this.#build();
        });
        return;
      }
      if (loading !== "none" || (error && !again)) continue;
      if (side === "start" ? atStart : this.view.atEnd) continue;
      void (side === "start" ? this.thread.older() : this.thread.newer()).catch(() => undefined);
      return;
    }
  }

  /** Whether somebody can be looking at the rows. */
  get #watched(): boolean {
    return this.settled && this.#rowsElement !== undefined && attentive(this.#rowsElement);
  }

  /** The last message of which enough is in view. */
  #lastSeen(): Seq {
    const seen = this.rows.slice(0, (this.#surface?.lastSeen() ?? -1) + 1);
    return seen.findLast((row) => row.item.seq !== undefined)?.item.seq ?? 0;
  }

  #end(): void {
    // The document may be gone already; where the reader was is known.
    const mark = this.#anchor?.mark;
    const seq = Number(mark?.element.closest<HTMLElement>("[data-seq]")?.dataset.seq);
    leave(this.#conversation, mark && seq > 0 ? { seq, top: mark.top } : undefined);
    this.#seen.end();
    clearTimeout(this.#later);
    this.#momentum.end();
    for (const undo of this.#undo) undo();
    this.#anchor = undefined;
    this.thread.close();
  }
}

/** When messages pour in, the list is changed no more often: several rows at once cost little more than one. */
const FLOOD_MS = 80;

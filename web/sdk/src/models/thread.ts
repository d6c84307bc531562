/**
 * One conversation, as a view shows a piece of it.
 *
 * @module
 */
import type { ClientEvents, OutboxEntry } from "../events.js";
import { type ChangeMessage, isChange } from "../store/settle.js";
import type { Conversation, Message, MessageId, Seq, UserCursor } from "../wire.js";
import { Arrivals, HeardChanges } from "./arrivals.js";
import { type Context, ignore } from "./context.js";
import { followConversation } from "./follow.js";
import { History, type Load } from "./history.js";
import { itemOf } from "./item.js";
import { Members } from "./members.js";
import type { Place, Thread, ThreadView } from "./models.js";
import { Observable } from "./observable.js";
import { changeOf, Pending } from "./pending.js";
import { isShown, Piece, type Row, WINDOW } from "./piece.js";
import { checkPlace, holds, keyAt, suffices } from "./places.js";
import { Renewal } from "./renewal.js";
import { Replies } from "./replies.js";

/** Pages of one load that showed nothing: edits of what is elsewhere. */
const FRUITLESS_MAX = 10;

type Side = "older" | "newer";

/** A piece without a hole, which follows the conversation while it reaches its end. */
export class ThreadModel extends Observable<ThreadView> implements Thread {
  readonly conversation: Conversation;
  readonly #context: Context;
  readonly #onClose: () => void;
  readonly #history: History;
  readonly #piece: Piece;
  readonly #pending = new Pending();
  readonly #replies: Replies;
  readonly #members: Members;
  readonly #changes = new HeardChanges();
  /** The highest sequence that is known to be there. */
  #head: Seq = 0;
  readonly #arrivals = new Arrivals();
  readonly #renewal: Renewal;
  #loading: ThreadView["loading"] = "none";
  #loads: Promise<void> | undefined;
  #error: Error | undefined;
  #failed: (() => Promise<unknown>) | undefined;
  #divider: Seq | undefined;
  /** Which end is let go of when there are too many: the one that nobody looks at. */
  #facing: Side = "newer";
  #turn = 0;
  #unfollow: (() => void) | undefined;
  #closed = false;

  constructor(context: Context, conversation: Conversation, onClose: () => void) {
    super(context.ticker);
    this.conversation = conversation;
    this.#context = context;
    this.#onClose = onClose;
    this.#history = new History(context, conversation);
    this.#piece = new Piece((row) => this.#rowChanged(row));
    this.#replies = new Replies(
      (seq) => this.#piece.row(seq)?.message,
      (seq) => this.#history.message(seq),
      (seq) => this.#quoteChanged(seq),
    );
    const after = async (seq: Seq) => this.#changes.applied((await this.#history.after(seq)).messages);
    this.#renewal = new Renewal(this.#piece, after);
    const rose = (from: Seq, to: Seq) => this.#piece.renewOwn(from, to);
    this.#members = new Members(context, conversation, rose, () => this.changed());
  }

  get cursors(): readonly UserCursor[] {
    return this.#members.standing?.cursors ?? [];
  }

  async jump(place: Place): Promise<MessageId | undefined> {
    checkPlace(place);
    this.#follow();
    const summary = this.#context.summary(this.conversation);
    this.#hearHead(summary?.head ?? 0);
    const read = summary?.cursor.read ?? 0;
    if (this.#loading !== "start" && holds(this.#piece, place, read, this.#atEnd))
      return this.#keyOf(place, read);
    const where: Place = place.at === "unread" && !summary?.unread ? { at: "end" } : place;
    const turn = ++this.#turn;
    this.#arrivals.begin();
    this.#set("start");
    await this.#open(where, read, turn);
    if (turn !== this.#turn) return undefined;
    return this.#keyOf(where, read);
  }

  older(): Promise<void> {
    return this.#extend("older");
  }

  newer(): Promise<void> {
    return this.#extend("newer");
  }

  follow(end: boolean): void {
    this.#facing = end ? "newer" : "older";
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#turn += 1;
    this.#unfollow?.();
    this.#members.close();
    this.#onClose();
  }

  protected build(): ThreadView {
    const items = this.#piece.rows.map((row) => (row.item ??= this.#item(row)));
    const me = this.#context.user?.id;
    const atEnd = this.#atEnd;
    if (me !== undefined && (atEnd || items.length === 0)) {
      const shown = (id: MessageId) => this.#piece.byId(id) !== undefined;
      items.push(...this.#pending.items(me, shown, (seq) => this.#replies.quote(seq)));
    }
    return {
      items,
      atStart: this.#piece.atStart,
      atEnd,
      loading: this.#loading,
      ...(this.#divider !== undefined && { dividerAfter: this.#divider }),
      ...(this.#error !== undefined && { error: this.#error }),
    };
  }

  get #atEnd(): boolean {
    return this.#piece.end >= this.#head;
  }

  /** Begins to hear what happens, once. */
  #follow(): void {
    if (this.#unfollow !== undefined || this.#closed) return;
    this.#unfollow = followConversation(this.#context.hub, this.conversation, {
      messages: ({ messages }) => this.#arrived(messages),
      truncated: ({ head }) => this.#truncated(head),
      receipts: ({ cursors }) => this.#members.heard(cursors),
      outbox: ({ entry, done }) => this.#outbox(entry, done),
      online: () => this.#retry(),
      ready: () => this.#arrivals.anew(),
      resumed: () => this.#resumed(),
    });
    const summary = this.#context.summary(this.conversation);
    if (summary !== undefined && summary.unread > 0) this.#divider = summary.cursor.read;
    this.#members.open();
    void this.#context.outbox().then((entries) => {
      for (const entry of entries)
        if (entry.conversation === this.conversation) this.#outbox(entry, undefined);
    }, ignore);
  }

  /** Shows what is kept at a place at once, and asks the server where that is not enough. */
  async #open(place: Place, read: Seq, turn: number): Promise<void> {
    this.#failed = undefined;
    this.#error = undefined;
    const kept = await this.#history.keptAt(place, read).catch(ignore);
    if (turn !== this.#turn) return;
    const enough = kept !== undefined && suffices(place, kept.messages, this.#head, read);
    const connected = this.#context.connection.state === "online";
    if (enough || !connected) this.#showKept(kept);
    if (!enough) {
      try {
        const load = await this.#history.at(place, read);
        if (turn !== this.#turn) return;
        this.#show(load);
      } catch (error) {
        // What is kept elsewhere is better than nothing.
        const last = kept ?? (await this.#history.keptAt({ at: "end" }, read).catch(ignore));
        if (turn !== this.#turn) return;
        this.#showKept(last);
        this.#fail(error, () => this.jump(place));
      }
    }
    this.#facing = this.#atEnd ? "newer" : "older";
    // Only edits and deletions of what came before: that is what there is to see.
    const nothing = this.#piece.rows.length === 0 && !this.#piece.atStart && this.#error === undefined;
    if (nothing) await this.#load("older", turn);
    else this.#set("none");
  }

  #showKept(kept: Load | undefined): void {
    // What shows nothing does not take the place of something.
    if (kept?.messages.some(isShown)) this.#show(kept);
  }

  #show(load: Load): void {
    const messages = this.#changes.applied(load.messages);
    this.#piece.reset(messages);
    this.#piece.atStart = load.atStart ?? false;
    this.#reached(load);
    this.#rowsCame(this.#piece.rows);
    this.#pending.arrived(this.#piece.end);
    this.changed();
  }

  /** A load came to the end of the conversation, as of `head`: what was heard meanwhile follows. */
  #reached({ head }: Load): void {
    if (head !== undefined) {
      this.#piece.end = Math.max(this.#piece.end, head);
      this.#hearHead(head);
    }
    const arrivals = this.#changes.applied(this.#arrivals.after(this.#piece.end));
    this.#rowsCame(this.#piece.append(arrivals));
  }

  #extend(side: Side): Promise<void> {
    if (this.#loading === side && this.#loads !== undefined) return this.#loads;
    const done = side === "older" ? this.#piece.atStart : this.#atEnd;
    if (this.#loading !== "none" || done || this.#closed) return Promise.resolve();
    this.#set(side);
    this.#failed = undefined;
    this.#error = undefined;
    if (side === "newer") this.#arrivals.begin();
    const loads = this.#load(side, this.#turn).finally(() => {
      if (this.#loads === loads) this.#loads = undefined;
    });
    this.#loads = loads;
    return loads;
  }

  async #load(side: Side, turn: number): Promise<void> {
    try {
      for (let round = 0; round < FRUITLESS_MAX; round += 1) {
        const shown = this.#piece.rows.length;
        const load = await this.#next(side);
        if (turn !== this.#turn) return;
        this.#add(side, load);
        const done = side === "older" ? this.#piece.atStart : this.#atEnd;
        if (done || this.#piece.rows.length > shown) break;
      }
      this.#facing = side === "newer" && this.#atEnd ? "newer" : "older";
      if (side === "older") this.#piece.trimEnd(WINDOW);
      else this.#piece.trimStart(WINDOW);
    } catch (error) {
      if (turn !== this.#turn) return;
      this.#fail(error, () => this.#extend(side));
    }
    this.#set("none");
  }

  async #next(side: Side): Promise<Load> {
    const { first, begin, end } = this.#piece;
    if (side === "newer") {
      const kept = await this.#history.keptAfter(end);
      return kept.messages.length > 0 ? kept : this.#history.after(end);
    }
    if (first === undefined) return this.#history.at({ at: "end" }, 0);
    const kept = await this.#history.keptBefore(first, begin);
    return kept.messages.length > 0 ? kept : this.#history.before(first);
  }

  #add(side: Side, load: Load): void {
    const messages = this.#changes.applied(load.messages);
    if (side === "older") {
      this.#rowsCame(this.#piece.prepend(messages));
      this.#piece.atStart = load.atStart ?? false;
    } else {
      this.#rowsCame(this.#piece.append(messages));
      this.#reached(load);
    }
    this.#pending.arrived(this.#piece.end);
    this.changed();
  }

  #arrived(messages: Message[]): void {
    const last = messages.at(-1);
    if (last === undefined) return;
    for (const message of messages) {
      if (isChange(message)) this.#hearChange(message);
      if (message.kind === "event") this.#members.event(message.event);
    }
    const { end, first } = this.#piece;
    const begins = first === undefined && this.#head === 0;
    const follows = this.#arrivals.came(messages, end) || begins;
    const wasAtEnd = this.#atEnd && this.#loading !== "start" && this.#loading !== "newer";
    this.#hearHead(last.seq);
    if (wasAtEnd && follows) this.#append(messages);
    this.changed();
    // At the end, and what came does not follow: history knows what lies between.
    if (wasAtEnd && !follows) void this.#extend("newer");
  }

  #append(messages: Message[]): void {
    this.#rowsCame(this.#piece.append(messages));
    this.#pending.arrived(this.#piece.end);
    this.#piece.letGo(this.#facing);
  }

  /** A tab that led may have kept messages and gone before it could tell of them. */
  #resumed(): void {
    const wasAtEnd = this.#atEnd && this.#loading === "none";
    this.#hearHead(this.#context.summary(this.conversation)?.head ?? 0);
    if (wasAtEnd) void this.#extend("newer");
  }

  #truncated(head: Seq): void {
    this.#arrivals.hole();
    this.#hearHead(head);
    this.#replies.allStale();
    this.#renewal.want(this.#loading === "none");
    this.changed();
  }

  #hearChange(change: ChangeMessage): void {
    this.#piece.apply(change);
    this.#changes.heard(change);
    this.#replies.stale(change.target);
  }

  #hearHead(head: Seq): void {
    this.#head = Math.max(this.#head, head);
  }

  #outbox(entry: OutboxEntry, done: ClientEvents["outbox"]["done"]): void {
    if (this.#closed) return;
    const { content } = entry;
    if (done === undefined) this.#pending.put(entry);
    else if (done === "discarded") this.#pending.drop(entry.id);
    else if (content.kind === "text" && done.seq <= this.#piece.end) this.#pending.drop(entry.id);
    else this.#pending.stored(entry, done.seq);
    if (content.kind === "text") {
      if (content.replyTo !== undefined) this.#replies.want(content.replyTo);
    } else {
      const me = this.#context.user?.id;
      // Shown before its echo is here.
      const change = typeof done === "object" && me !== undefined ? changeOf(entry, done.seq, me) : undefined;
      if (change !== undefined) this.#piece.apply(change);
      const row = this.#piece.row(content.target);
      if (row !== undefined) row.item = undefined;
    }
    this.changed();
  }

  #item(row: Row): NonNullable<Row["item"]> {
    const { message } = row;
    const me = this.#context.user?.id;
    const own = message.sender === me;
    const reply = message.kind === "text" ? message.reply_to : undefined;
    return itemOf(message, {
      own,
      change: this.#pending.change(message.seq),
      ...(reply !== undefined && { replyTo: this.#replies.quote(reply) }),
      ...(own && { status: this.#members.standing?.status(message.seq) ?? "stored" }),
    });
  }

  #rowsCame(rows: readonly Row[]): void {
    for (const { message } of rows) {
      if (message.kind === "text" && message.reply_to !== undefined) this.#replies.want(message.reply_to);
    }
  }

  #rowChanged(row: Row): void {
    row.item = undefined;
    const { seq } = row.message;
    this.#replies.changed(row.message);
    this.#quoteChanged(seq);
  }

  #quoteChanged(seq: Seq): void {
    for (const row of this.#piece.rows) {
      if (row.message.kind === "text" && row.message.reply_to === seq) row.item = undefined;
    }
    this.#pending.forgetRepliesTo(seq);
    this.changed();
  }

  #keyOf(place: Place, read: Seq): MessageId | undefined {
    return keyAt(this.#piece, place, read, this.#context.user?.id) ?? this.snapshot.items.at(-1)?.key;
  }

  #retry(): void {
    this.#members.open();
    this.#replies.retry();
    if (this.#loading === "none") this.#renewal.go();
    // It says itself whether it failed again.
    void this.#failed?.();
  }

  #fail(error: unknown, again: () => Promise<unknown>): void {
    this.#error = error instanceof Error ? error : new Error(String(error));
    this.#failed = again;
  }

  #set(loading: ThreadView["loading"]): void {
    this.#loading = loading;
    if (loading === "none") {
      this.#arrivals.end();
      this.#renewal.go();
    }
    this.changed();
  }
}

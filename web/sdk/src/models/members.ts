/**
 * The others of one conversation and how far they have got, for as long as a thread is open.
 *
 * @module
 */
import { groupOf } from "../conversation.js";
import type { Conversation, GroupEvent, Seq, UserCursor, UserId } from "../wire.js";
import type { Context } from "./context.js";
import { Standing } from "./standing.js";

/** A group changes in bursts: its members are asked for so long after the first change. */
const DELAY_MS = 300;

/** Keeps a {@link Standing} up to date: from the store at once, from the server where a group changed. */
export class Members {
  readonly #context: Context;
  readonly #conversation: Conversation;
  readonly #rose: (from: Seq, to: Seq) => void;
  readonly #told: () => void;
  #standing: Standing | undefined;
  #stale = true;
  #asking = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  /**
   * @param rose Statuses of one's own messages between the two changed.
   * @param told Something was heard of the others.
   */
  constructor(
    context: Context,
    conversation: Conversation,
    rose: (from: Seq, to: Seq) => void,
    told: () => void,
  ) {
    this.#context = context;
    this.#conversation = conversation;
    this.#rose = rose;
    this.#told = told;
  }

  /** Known once it is known who one is. */
  get standing(): Standing | undefined {
    const me = this.#context.user?.id;
    if (me !== undefined) this.#standing ??= new Standing(this.#conversation, me);
    return this.#standing;
  }

  /** Begins, or goes on after a failure or a loss of the connection, when something may have been missed. */
  open(): void {
    this.#fromStore().catch(() => undefined);
    const summary = this.#context.summary(this.#conversation);
    if (summary?.peer !== undefined && summary.peer_cursor !== undefined) {
      this.heard([{ user: summary.peer.id, ...summary.peer_cursor }]);
    }
    this.#stale = true;
    void this.#fromServer();
  }

  heard(cursors: readonly UserCursor[]): void {
    this.#watch((standing) => standing.heard(cursors));
  }

  /** Something happened to the group. */
  event(event: GroupEvent): void {
    if (event.type !== "member_added" && event.type !== "member_removed") return;
    this.#stale = true;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.#fromServer();
    }, DELAY_MS);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  async #fromStore(): Promise<void> {
    const { store } = this.#context;
    const [who, cursors] = await Promise.all([store.value(this.#name), store.receipts(this.#conversation)]);
    if (!this.#stale || this.#closed) return;
    this.#watch((standing) => {
      if (Array.isArray(who)) standing.who(who as UserId[]);
      standing.heard(cursors);
    });
  }

  async #fromServer(): Promise<void> {
    if (this.#asking || this.#closed) return;
    // Of a 1:1 chat the list tells the other's cursor, and who that is never changes.
    if (groupOf(this.#conversation) === undefined) return;
    const { state } = this.#context.connection;
    if (state === "waiting" || state === "stopped") return;
    this.#asking = true;
    this.#stale = false;
    let failed = false;
    try {
      const members = await this.#context.api.members(this.#conversation);
      this.#context.people.learn(members.map(({ user }) => user));
      this.#watch((standing) => standing.members(members));
      const cursors = members.map(({ user, cursor }) => ({ user: user.id, ...cursor }));
      await this.#context.store.write([
        { put: "value", name: this.#name, value: members.map(({ user }) => user.id) },
        { put: "receipts", conversation: this.#conversation, cursors },
      ]);
    } catch {
      // Asked again when the connection is back.
      this.#stale = failed = true;
    }
    this.#asking = false;
    // The group changed meanwhile: the answer may be older.
    if (this.#stale && !failed) await this.#fromServer();
  }

  #watch(change: (standing: Standing) => void): void {
    const { standing } = this;
    if (standing === undefined || this.#closed) return;
    const before = standing.all;
    change(standing);
    const { all } = standing;
    for (const what of ["delivered", "read"] as const) {
      const [from, to] = [before[what], all[what]].sort((a, b) => a - b) as [Seq, Seq];
      if (from < to) this.#rose(from, to);
    }
    // Also when no status changed: the cursors are shown as "seen by".
    this.#told();
  }

  get #name(): string {
    return `members:${this.#conversation}`;
  }
}

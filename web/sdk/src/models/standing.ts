/**
 * How far the others in a conversation have got, and what that makes of one's own messages.
 *
 * @module
 */
import { peerOf, risen } from "../conversation.js";
import type { Conversation, Cursor, Member, Seq, UserCursor, UserId } from "../wire.js";
import type { Status } from "./models.js";

/** The cursors of the others. */
export class Standing {
  readonly #me: UserId;
  readonly #cursors = new Map<UserId, UserCursor>();
  /** Who the others are; `undefined` until it is known. */
  #others: Set<UserId> | undefined;
  /** Up to here every other one has got. */
  all: Cursor = { delivered: 0, read: 0 };

  constructor(conversation: Conversation, me: UserId) {
    this.#me = me;
    const peer = peerOf(conversation, me);
    if (peer !== undefined) this.#others = new Set(peer === me ? [] : [peer]);
    // Notes to self are read once they are written.
    if (peer === me) this.all = { delivered: Infinity, read: Infinity };
  }

  /** Cursors of the others, of former members neither. */
  get cursors(): UserCursor[] {
    return [...this.#cursors.values()].filter(({ user }) => this.#others?.has(user) ?? true);
  }

  /** Cursors rose. Answers whether anything changed. */
  heard(cursors: readonly UserCursor[]): boolean {
    let news = false;
    for (const told of cursors) {
      if (told.user === this.#me) continue;
      const known = this.#cursors.get(told.user);
      const now = risen(known, told);
      if (now === known) continue;
      this.#cursors.set(told.user, now);
      news = true;
    }
    if (news) this.#reckon();
    return news;
  }

  /** Who is in the group. */
  members(members: readonly Pick<Member, "user" | "cursor">[]): void {
    this.who(members.map(({ user }) => user.id));
    this.heard(members.map(({ user, cursor }) => ({ user: user.id, ...cursor })));
  }

  /** Who is in the group, without how far they have got. */
  who(users: readonly UserId[]): void {
    this.#others = new Set(users.filter((user) => user !== this.#me));
    this.#reckon();
  }

  /** The status of one's own message at `seq`. */
  status(seq: Seq): Status {
    if (seq <= this.all.read) return "read";
    return seq <= this.all.delivered ? "delivered" : "stored";
  }

  #reckon(): void {
    // Nobody else is there: nobody has seen it.
    if (this.#others === undefined || this.#others.size === 0) return;
    const all = { delivered: Infinity, read: Infinity };
    for (const user of this.#others) {
      const cursor = this.#cursors.get(user);
      all.delivered = Math.min(all.delivered, cursor?.delivered ?? 0);
      all.read = Math.min(all.read, cursor?.read ?? 0);
    }
    this.all = all;
  }
}

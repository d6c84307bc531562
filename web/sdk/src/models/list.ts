/**
 * The list of conversations.
 *
 * @module
 */
import { groupOf } from "../conversation.js";
import type { ClientEvents, OutboxEntry } from "../events.js";
import type { Opening } from "../store/store.js";
import type { Conversation, MessageId, Seq, Summary, UserId } from "../wire.js";
import { type Context, keep } from "./context.js";
import type { ConversationEntry, ConversationList } from "./models.js";
import { Observable } from "./observable.js";
import type { PeopleModel } from "./people.js";
import { Refresher } from "./refresh.js";
import {
  activity,
  countUnread,
  empty,
  follow,
  type Followed,
  merge,
  muted,
  peer,
  readTo,
  UNREAD_MAX,
} from "./summary.js";

/** What is kept of an entry beside its summary. */
interface Row {
  summary: Summary;
  typing: Set<UserId>;
  outbox: Map<MessageId, OutboxEntry>;
  draft: string;
  /** Set from a count of what is unread until the next is allowed, which is wanted with `recount`. */
  counting: ReturnType<typeof setTimeout> | undefined;
  recount: boolean;
  /** As it was last handed out; made anew after a change. */
  entry: ConversationEntry | undefined;
}

/** Changed summaries are written so long after the first of them. */
const SAVE_DELAY_MS = 500;

/** Between two counts of what is unread in one conversation: each reads up to a thousand messages. */
const RECOUNT_DELAY_MS = 150;

/** Starts from the store, and follows the events. */
export class ListModel extends Observable<readonly ConversationEntry[]> implements ConversationList {
  readonly #context: Context;
  readonly #people: PeopleModel;
  readonly #rows = new Map<Conversation, Row>();
  /** Summaries that the server is asked for. */
  readonly #refresher: Refresher;
  readonly #unsaved = new Set<Conversation>();
  #saving: ReturnType<typeof setTimeout> | undefined;
  #closed = false;
  #loaded = false;
  #next: string | undefined;
  #loading: Promise<void> | undefined;

  constructor(context: Context, people: PeopleModel) {
    super(context.ticker);
    this.#context = context;
    this.#people = people;
    this.#refresher = new Refresher(context, {
      told: (summary) => this.told([summary]),
      gone: (conversation) => {
        // A 1:1 chat begins with its first message, which may be waiting here.
        if (this.#rows.get(conversation)?.outbox.size === 0) this.#remove(conversation);
      },
    });
    const { hub } = context;
    hub.on("ready", (ready) => {
      this.#hush();
      this.#ready(ready);
    });
    hub.on("messages", (event) => this.#messages(event));
    hub.on("truncated", ({ conversation }) => this.#refresher.want(conversation));
    hub.on("receipts", (event) => this.#receipts(event));
    hub.on("outbox", ({ entry, done }) => this.#outbox(entry, done !== undefined));
    hub.on("typing", (event) => this.#typing(event));
    // Whoever would have told that somebody stopped may be gone.
    hub.on("leader", () => this.#hush());
    hub.on("connection", ({ state }) => void (state !== "online" && this.#hush()));
    hub.on("resumed", ({ complete }) => {
      if (!complete) void this.#compare();
    });
  }

  /** What was kept. */
  open(opening: Opening): void {
    // Who one is was kept with the first list.
    this.#loaded ||= this.#context.user !== undefined || opening.summaries.length > 0;
    for (const summary of opening.summaries) this.#row(summary.conversation, summary);
    for (const [conversation, draft] of opening.drafts) {
      if (this.#rows.has(conversation)) this.setDraft(conversation, draft);
    }
    for (const entry of opening.outbox) this.#outbox(entry, false);
    this.#people.learn(opening.summaries.map((summary) => summary.peer));
    this.changed();
  }

  get loaded(): boolean {
    return this.#loaded;
  }

  get more(): boolean {
    return this.#next !== undefined;
  }

  get unread(): number {
    const now = Date.now();
    let unread = 0;
    for (const { summary } of this.#rows.values()) if (!muted(summary, now)) unread += summary.unread;
    return unread;
  }

  get(conversation: Conversation): ConversationEntry | undefined {
    const row = this.#rows.get(conversation);
    return row && this.#entry(row);
  }

  loadMore(): Promise<void> {
    this.#loading ??= this.#page().finally(() => (this.#loading = undefined));
    return this.#loading;
  }

  /** The server told of these: merged with what is known. */
  told(summaries: readonly Summary[]): void {
    for (const summary of summaries) {
      const row = this.#rows.get(summary.conversation);
      if (row === undefined) this.#row(summary.conversation, summary);
      else this.#set(row, merge(row.summary, summary));
      this.#save(summary.conversation);
    }
    this.#people.learn(summaries.map((summary) => summary.peer));
    this.changed();
  }

  /** One has read up to here, in this tab or in another. */
  read(conversation: Conversation, read: Seq): void {
    const row = this.#rows.get(conversation);
    if (row === undefined) return;
    const upTo = Math.min(read, row.summary.head);
    this.#set(row, readTo(row.summary, { read: upTo, delivered: upTo }));
  }

  setDraft(conversation: Conversation, draft: string): void {
    const row = this.#rows.get(conversation);
    if (row === undefined || row.draft === draft) return;
    row.draft = draft;
    this.#touch(row);
  }

  /** Ends the timers, and writes what is not written yet. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#refresher.close();
    clearTimeout(this.#saving);
    for (const { counting } of this.#rows.values()) clearTimeout(counting);
    await this.#write();
  }

  protected build(): readonly ConversationEntry[] {
    const rows = [...this.#rows.values()].map((row) => ({ row, at: lastActivity(row) }));
    rows.sort((a, b) => b.at - a.at || (a.row.summary.conversation < b.row.summary.conversation ? 1 : -1));
    return rows.map(({ row }) => this.#entry(row));
  }

  #ready({ conversations, next }: ClientEvents["ready"]): void {
    this.#next = next;
    this.#loaded = true;
    if (next === undefined) {
      // The page is the whole list: what it does not name, one has left, or it was only begun here.
      const named = new Set(conversations.map((summary) => summary.conversation));
      for (const [conversation, row] of this.#rows) {
        if (!named.has(conversation) && row.outbox.size === 0) this.#remove(conversation);
      }
    }
    this.told(conversations);
    this.#refresher.retry();
  }

  #messages({ conversation, messages }: ClientEvents["messages"]): void {
    const me = this.#context.user?.id;
    if (conversation.startsWith("user.")) {
      for (const message of messages) {
        if (message.kind !== "event") continue;
        if (message.event.type === "joined") this.#refresher.want(`group.${message.event.group}`);
        if (message.event.type === "left") this.#remove(`group.${message.event.group}`);
      }
      return;
    }
    const row = this.#rows.get(conversation);
    if (row === undefined || me === undefined) return this.#refresher.want(conversation);
    let recount = false;
    for (const message of messages) {
      const followed = follow(row.summary, message, me);
      row.summary = followed.summary;
      recount ||= followed.recount;
      row.typing.delete(message.sender);
    }
    this.#set(row, { summary: row.summary, recount });
    this.#touch(row);
  }

  #receipts({ conversation, cursors }: ClientEvents["receipts"]): void {
    const row = this.#rows.get(conversation);
    const me = this.#context.user?.id;
    if (row === undefined || me === undefined) return;
    for (const cursor of cursors) {
      if (cursor.user === me) this.#set(row, readTo(row.summary, cursor));
      if (cursor.user !== peer(row.summary, me)) continue;
      const known = row.summary.peer_cursor ?? { delivered: 0, read: 0 };
      const read = Math.max(known.read, cursor.read);
      const delivered = Math.max(known.delivered, cursor.delivered, read);
      if (read === known.read && delivered === known.delivered) continue;
      this.#set(row, { summary: { ...row.summary, peer_cursor: { delivered, read } }, recount: false });
    }
  }

  #outbox(entry: OutboxEntry, done: boolean): void {
    let row = this.#rows.get(entry.conversation);
    // A first message makes the conversation; a group that is not there was left.
    if (row === undefined && !done && groupOf(entry.conversation) === undefined) {
      row = this.#row(entry.conversation, empty(entry.conversation));
      this.#refresher.want(entry.conversation);
    }
    if (row === undefined) return;
    if (done) row.outbox.delete(entry.id);
    else row.outbox.set(entry.id, entry);
    this.#touch(row);
  }

  #typing({ conversation, user, active }: ClientEvents["typing"]): void {
    const row = this.#rows.get(conversation);
    if (row === undefined || user === this.#context.user?.id || row.typing.has(user) === active) return;
    if (active) row.typing.add(user);
    else row.typing.delete(user);
    this.#touch(row);
  }

  /** Nobody is known to write. */
  #hush(): void {
    for (const row of this.#rows.values()) {
      if (row.typing.size === 0) continue;
      row.typing.clear();
      this.#touch(row);
    }
  }

  async #page(): Promise<void> {
    const page = this.#next;
    if (page === undefined) return;
    const answer = await this.#context.ask({ do: "conversations", page });
    // A new `ready` may have come meanwhile, and begun anew.
    if (this.#next !== page) return;
    this.#next = answer.next;
    this.told(answer.conversations);
  }

  /** More was missed than a resume looks at: pages on while a page knows more than this list. */
  async #compare(): Promise<void> {
    try {
      let page = (await this.#context.ask({ do: "conversations" })) as {
        conversations: Summary[];
        next?: string;
      };
      for (;;) {
        const news = page.conversations.some(
          (told) => told.head > (this.#rows.get(told.conversation)?.summary.head ?? 0),
        );
        this.told(page.conversations);
        if (!news || page.next === undefined) return;
        page = await this.#context.ask({ do: "conversations", page: page.next });
      }
    } catch {
      // The next `ready` begins anew.
    }
  }

  #row(conversation: Conversation, summary: Summary): Row {
    const row: Row = {
      summary,
      typing: new Set(),
      outbox: new Map(),
      draft: "",
      counting: undefined,
      recount: false,
      entry: undefined,
    };
    this.#rows.set(conversation, row);
    this.changed();
    return row;
  }

  #set(row: Row, { summary, recount }: Followed): void {
    if (row.summary !== summary) {
      row.summary = summary;
      this.#save(summary.conversation);
      this.#touch(row);
    }
    if (recount) this.#recount(row);
  }

  #touch(row: Row): void {
    row.entry = undefined;
    this.changed();
  }

  #remove(conversation: Conversation): void {
    if (!this.#rows.delete(conversation)) return;
    this.#unsaved.delete(conversation);
    this.changed();
    if (this.#context.leader) keep(this.#context.store, [{ drop: "conversation", conversation }]);
  }

  /** Counts what is unread: one count at a time of each row, and what is wanted meanwhile a moment later. */
  #recount(row: Row): void {
    row.recount = true;
    if (row.counting !== undefined) return;
    row.recount = false;
    const next = () => {
      row.counting = undefined;
      if (row.recount && !this.#closed) this.#recount(row);
    };
    row.counting = setTimeout(next, RECOUNT_DELAY_MS);
    void this.#count(row);
  }

  /** Counts from what is kept, and asks the server where that is not all. */
  async #count(row: Row): Promise<void> {
    const { conversation, cursor, head } = row.summary;
    const me = this.#context.user?.id;
    const query = { after: cursor.read, limit: UNREAD_MAX + 1, unseen: true };
    const kept = await this.#context.store.messages(conversation, query).catch(() => []);
    if (this.#rows.get(conversation) !== row) return;
    const { summary } = row;
    // Something happened meanwhile: if it matters, it is counted again.
    if (summary.cursor.read !== cursor.read || summary.head !== head) return this.#recount(row);
    const unread = me === undefined ? undefined : countUnread(kept, summary, me);
    if (unread === undefined) return this.#refresher.want(conversation);
    if (unread !== summary.unread) this.#set(row, { summary: { ...summary, unread }, recount: false });
  }

  #entry(row: Row): ConversationEntry {
    const entries = [...row.outbox.values()];
    const failed = entries.filter((entry) => entry.failed !== undefined).length;
    const unsent = entries.reduce(laterText, undefined);
    row.entry ??= {
      conversation: row.summary.conversation,
      summary: row.summary,
      typing: [...row.typing],
      waiting: row.outbox.size - failed,
      failed,
      ...(unsent !== undefined && { unsent: { text: unsent.content.text, at: unsent.at } }),
      draft: row.draft,
    };
    return row.entry;
  }

  #save(conversation: Conversation): void {
    this.#unsaved.add(conversation);
    if (this.#closed) return;
    this.#saving ??= setTimeout(() => {
      this.#saving = undefined;
      void this.#write();
    }, SAVE_DELAY_MS);
  }

  async #write(): Promise<void> {
    const summaries = [...this.#unsaved].flatMap(
      (conversation) => this.#rows.get(conversation)?.summary ?? [],
    );
    this.#unsaved.clear();
    // One tab writes for all.
    if (summaries.length > 0 && this.#context.leader) {
      await this.#context.store.write([{ put: "summaries", summaries }]).catch(() => undefined);
    }
  }
}

function lastActivity(row: Row): number {
  let at = activity(row.summary);
  for (const entry of row.outbox.values()) if (entry.content.kind === "text") at = Math.max(at, entry.at);
  return at;
}

/** An entry of the outbox with a text of its own. */
type UnsentText = OutboxEntry & { content: { kind: "text" } };

function laterText(last: UnsentText | undefined, entry: OutboxEntry): UnsentText | undefined {
  if (entry.content.kind !== "text" || entry.order < (last?.order ?? -Infinity)) return last;
  return entry as UnsentText;
}

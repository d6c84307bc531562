/**
 * The store of browsers: one database for each account, shared by all tabs.
 *
 * @module
 */
import { risen } from "../conversation.js";
import type { OutboxEntry } from "../events.js";
import type { Conversation, Message, MessageId, Profile, Seq, Summary, UserCursor } from "../wire.js";
import { BOUNDS, type Bounds } from "./bounds.js";
import { answer, complete, deleteDatabase, keyAt, openDatabase } from "./idb.js";
import { Pruner } from "./prune.js";
import { type ChangeMessage, isChange, settle } from "./settle.js";
import { BY_TARGET, keysOf, NAMES, upgrade, VERSION } from "./schema.js";
import type { Change, MessageQuery, Opening, Store } from "./store.js";

/** That a conversation was opened is noted at most so often. */
const OPENED_EVERY_MS = 60_000;

/** What is told of a database. */
export interface DatabaseEvents {
  /** It is no longer there for this tab; {@link IndexedDbStore.open} may bring it back, unless `deleted`. */
  closed?(why: "deleted" | "newer" | "lost"): void;
}

/**
 * Keeps everything in IndexedDB. Its promises are honest: a write that is not durable rejects, and whoever wants to
 * go on without takes a {@link SafeStore}.
 */
export class IndexedDbStore implements Store {
  /** Whether the last {@link open} found nothing and made it anew. */
  created = false;
  readonly #name: string;
  readonly #factory: IDBFactory;
  readonly #events: DatabaseEvents;
  readonly #pruner: Pruner;
  readonly #openedAt = new Map<Conversation, number>();
  #db: Promise<IDBDatabase> | undefined;
  #closed = false;

  /** @param account - Names the database: `natterjack.<account>`. */
  constructor(account: string, events: DatabaseEvents = {}, bounds: Bounds = BOUNDS, factory = indexedDB) {
    this.#name = `natterjack.${account}`;
    this.#factory = factory;
    this.#events = events;
    this.#pruner = new Pruner(() => this.#open(), bounds);
  }

  async open(): Promise<Opening> {
    this.#closed = false;
    const tx = (await this.#open()).transaction(["outbox", "cursors", "summaries", "drafts"]);
    const [cursors, drafts] = [tx.objectStore("cursors"), tx.objectStore("drafts")];
    const [outbox, summaries, seqs, conversations, texts, begun] = await Promise.all([
      answer<OutboxEntry[]>(tx.objectStore("outbox").getAll()),
      answer<Summary[]>(tx.objectStore("summaries").getAll()),
      answer<Seq[]>(cursors.getAll()),
      answer(cursors.getAllKeys()),
      answer<string[]>(drafts.getAll()),
      answer(drafts.getAllKeys()),
    ]);
    return {
      outbox,
      summaries,
      cursors: new Map(conversations.map((conversation, at) => [conversation as Conversation, seqs[at]!])),
      drafts: new Map(begun.map((conversation, at) => [conversation as Conversation, texts[at]!])),
    };
  }

  async write(changes: Change[]): Promise<void> {
    if (changes.length === 0) return;
    const db = await this.#open();
    // What is unsent exists nowhere else; of the rest the server has a copy.
    const durability = changes.some((change) => "put" in change && change.put === "outbox")
      ? "strict"
      : "relaxed";
    const tx = db.transaction(NAMES, "readwrite", { durability });
    const done = complete(tx);
    try {
      for (const change of changes) await this.#apply(tx, change);
      // Waits for no further event loop; not every implementation has it.
      tx.commit?.();
    } catch (error) {
      done.catch(() => undefined);
      try {
        tx.abort();
      } catch {
        // It was aborted by the error itself.
      }
      // Of a request that was aborted with the others, only the transaction knows why: there is no room, perhaps.
      throw tx.error ?? error;
    }
    await done;
  }

  async messages(conversation: Conversation, query: MessageQuery): Promise<Message[]> {
    const db = await this.#open();
    if (query.unseen !== true) this.#noteOpened(db, conversation);
    const store = db.transaction("messages").objectStore("messages");
    const { before = Infinity, after, limit } = query;
    if (after !== undefined) {
      const range = IDBKeyRange.bound([conversation, after], [conversation, Infinity], true);
      return answer<Message[]>(store.getAll(range, limit));
    }
    const range = IDBKeyRange.bound([conversation, 0], [conversation, before], false, true);
    const first = await keyAt(store, range, limit - 1, "prev");
    const from = first ?? [conversation, 0];
    return answer<Message[]>(store.getAll(IDBKeyRange.bound(from, [conversation, before], false, true)));
  }

  async message(conversation: Conversation, seq: Seq): Promise<Message | undefined> {
    const db = await this.#open();
    return answer<Message | undefined>(
      db.transaction("messages").objectStore("messages").get([conversation, seq]),
    );
  }

  async receipts(conversation: Conversation): Promise<UserCursor[]> {
    const db = await this.#open();
    return answer<UserCursor[]>(
      db.transaction("receipts").objectStore("receipts").getAll(keysOf(conversation)),
    );
  }

  async profiles(ids: string[]): Promise<Profile[]> {
    const store = (await this.#open()).transaction("profiles").objectStore("profiles");
    const found = await Promise.all(ids.map((id) => answer<Profile | undefined>(store.get(id))));
    return found.filter((profile) => profile !== undefined);
  }

  async draft(conversation: Conversation): Promise<string> {
    const db = await this.#open();
    return (
      (await answer<string | undefined>(db.transaction("drafts").objectStore("drafts").get(conversation))) ??
      ""
    );
  }

  async value(name: string): Promise<unknown> {
    const db = await this.#open();
    return answer<unknown>(db.transaction("values").objectStore("values").get(name));
  }

  async destroy(): Promise<void> {
    this.close();
    await deleteDatabase(this.#factory, this.#name);
  }

  close(): void {
    this.#closed = true;
    this.#pruner.stop();
    void this.#db?.then((db) => db.close()).catch(() => undefined);
    this.#db = undefined;
  }

  /** Lets go of most messages, because there is no room. */
  makeRoom(): Promise<void> {
    return this.#pruner.makeRoom();
  }

  #open(): Promise<IDBDatabase> {
    if (this.#closed) return Promise.reject(new Error("the store was closed"));
    if (this.#db !== undefined) return this.#db;
    this.created = false;
    const opening = openDatabase(this.#factory, {
      name: this.#name,
      version: VERSION,
      upgrade: (db, from) => {
        this.created = from === 0;
        upgrade(db, from);
      },
      closed: (why) => {
        if (this.#db !== opening) return;
        this.#db = undefined;
        // Not to be made anew by whatever comes next: it was deleted on purpose, or has another form now.
        if (why !== "lost") this.#closed = true;
        this.#events.closed?.(why);
      },
    });
    this.#db = opening;
    opening.catch(() => {
      if (this.#db === opening) this.#db = undefined;
    });
    return opening;
  }

  async #apply(tx: IDBTransaction, change: Change): Promise<void> {
    if ("drop" in change) {
      if (change.drop === "outbox") tx.objectStore("outbox").delete(change.id satisfies MessageId);
      else if (change.drop === "conversation") this.#forget(tx, change.conversation);
      else {
        const range = IDBKeyRange.bound([change.conversation], [change.conversation, change.upTo]);
        tx.objectStore("messages").delete(range);
      }
      return;
    }
    switch (change.put) {
      case "messages":
        return this.#putMessages(tx, change.conversation, change.messages);
      case "cursor": {
        const store = tx.objectStore("cursors");
        const known = await answer<Seq | undefined>(store.get(change.conversation));
        if (change.seq > (known ?? -1)) store.put(change.seq, change.conversation);
        return;
      }
      case "outbox":
        tx.objectStore("outbox").put(change.entry);
        return;
      case "summaries":
        for (const summary of change.summaries) tx.objectStore("summaries").put(summary);
        return;
      case "receipts": {
        const store = tx.objectStore("receipts");
        for (const cursor of change.cursors) {
          const key = [change.conversation, cursor.user];
          store.put(risen(await answer<UserCursor | undefined>(store.get(key)), cursor), key);
        }
        return;
      }
      case "profiles":
        for (const profile of change.profiles) tx.objectStore("profiles").put(profile);
        return;
      case "draft":
        if (change.text === "") tx.objectStore("drafts").delete(change.conversation);
        else tx.objectStore("drafts").put(change.text, change.conversation);
        return;
      case "value":
        tx.objectStore("values").put(change.value, change.name);
    }
  }

  async #putMessages(tx: IDBTransaction, conversation: Conversation, told: Message[]): Promise<void> {
    const [first, last] = [told[0], told.at(-1)];
    if (first === undefined || last === undefined) return;
    const store = tx.objectStore("messages");
    const byTarget = store.index(BY_TARGET);
    const seqs = told.map((message) => message.seq);
    const [low, high] = [Math.min(...seqs), Math.max(...seqs)];
    const range = IDBKeyRange.bound([conversation, low], [conversation, high]);
    const targets = told.filter(isChange).filter(({ target }) => target < low || target > high);
    const deleted = targets.filter(({ kind }) => kind === "delete");
    const [kept, changes, keptTargets, edits] = await Promise.all([
      answer<Message[]>(store.getAll(range)),
      answer<ChangeMessage[]>(byTarget.getAll(range)),
      Promise.all(
        targets.map(({ target }) => answer<Message | undefined>(store.get([conversation, target]))),
      ),
      Promise.all(
        deleted.map(({ target }) => answer<ChangeMessage[]>(byTarget.getAll([conversation, target]))),
      ),
    ]);
    const known = new Map<Seq, Message>();
    for (const message of [...kept, ...keptTargets])
      if (message !== undefined) known.set(message.seq, message);
    const settled = settle(told, (seq) => known.get(seq), [...changes, ...edits.flat()]);
    for (const message of settled) store.put(message);
    this.#pruner.wrote(conversation);
  }

  #forget(tx: IDBTransaction, conversation: Conversation): void {
    for (const name of ["messages", "receipts"] as const) tx.objectStore(name).delete(keysOf(conversation));
    for (const name of ["cursors", "summaries", "drafts", "opened"] as const) {
      tx.objectStore(name).delete(conversation);
    }
  }

  #noteOpened(db: IDBDatabase, conversation: Conversation): void {
    const now = Date.now();
    if (now - (this.#openedAt.get(conversation) ?? 0) < OPENED_EVERY_MS) return;
    this.#openedAt.set(conversation, now);
    try {
      db.transaction("opened", "readwrite", { durability: "relaxed" })
        .objectStore("opened")
        .put(now, conversation);
    } catch {
      // The database is just being closed: then it does not matter.
    }
  }
}

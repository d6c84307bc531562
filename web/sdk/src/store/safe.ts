/**
 * A store that goes on whatever happens to the device's: what is unsent is never lost in silence.
 *
 * @module
 */
import type { OutboxEntry } from "../events.js";
import type { Conversation, Message, MessageId, Profile, Seq, UserCursor } from "../wire.js";
import type { DatabaseEvents, IndexedDbStore } from "./indexeddb.js";
import { MemoryStore } from "./memory.js";
import type { Change, MessageQuery, Opening, Store } from "./store.js";

/** Why memory took over. */
const WHY = {
  deleted: "the data on this device was deleted",
  newer: "a newer version of this page is open in another tab: reload this one",
  lost: "the browser closed the database on this device",
} as const;

/**
 * Keeps things in IndexedDB as long as that works, and in memory from then on. A copy of the outbox and of the
 * cursors is at hand for that moment.
 */
export class SafeStore implements Store {
  readonly #disk: IndexedDbStore;
  readonly #failed: (error: Error) => void;
  readonly #outbox = new Map<MessageId, OutboxEntry>();
  readonly #cursors = new Map<Conversation, Seq>();
  /** Written since it was opened last began. */
  #during: Change[] | undefined;
  #memory: MemoryStore | undefined;
  #reopening: Promise<void> | undefined;
  #closed = false;

  /**
   * @param make - Makes the store of the device.
   * @param failed - Hears once why memory took over.
   */
  constructor(make: (events: DatabaseEvents) => IndexedDbStore, failed: (error: Error) => void) {
    this.#failed = failed;
    this.#disk = make({
      closed: (why) => {
        if (why === "lost") this.#reopening ??= this.#reopen().finally(() => (this.#reopening = undefined));
        else this.#giveUp(new Error(WHY[why])).catch(() => undefined);
      },
    });
  }

  async open(): Promise<Opening> {
    this.#closed = false;
    const during: Change[] = [];
    this.#during = during;
    const opening = await this.#do((store) => store.open());
    // Another tab may have sent or discarded what is remembered here of the last time.
    this.#outbox.clear();
    this.#cursors.clear();
    for (const entry of opening.outbox) this.#outbox.set(entry.id, entry);
    for (const [conversation, seq] of opening.cursors) this.#cursors.set(conversation, seq);
    for (const change of during) mirror(change, this.#outbox, this.#cursors);
    return opening;
  }

  async write(changes: Change[]): Promise<void> {
    const undo = changes.map((change) => mirror(change, this.#outbox, this.#cursors));
    this.#during?.push(...changes);
    await this.#reopening;
    if (this.#memory !== undefined) return this.#memory.write(changes);
    try {
      await this.#disk.write(changes);
    } catch (error) {
      if (isOfArguments(error)) {
        for (const back of undo.toReversed()) back();
        throw error;
      }
      if (await this.#writtenWithMoreRoom(error, changes)) return;
      const memory = await this.#giveUp(error);
      await memory.write(changes);
    }
  }

  messages(conversation: Conversation, query: MessageQuery): Promise<Message[]> {
    return this.#do((store) => store.messages(conversation, query));
  }

  message(conversation: Conversation, seq: Seq): Promise<Message | undefined> {
    return this.#do((store) => store.message(conversation, seq));
  }

  receipts(conversation: Conversation): Promise<UserCursor[]> {
    return this.#do((store) => store.receipts(conversation));
  }

  profiles(ids: string[]): Promise<Profile[]> {
    return this.#do((store) => store.profiles(ids));
  }

  draft(conversation: Conversation): Promise<string> {
    return this.#do((store) => store.draft(conversation));
  }

  value(name: string): Promise<unknown> {
    return this.#do((store) => store.value(name));
  }

  async destroy(): Promise<void> {
    await this.#memory?.destroy();
    await this.#disk.destroy();
  }

  close(): void {
    this.#closed = true;
    this.#disk.close();
  }

  async #do<T>(ask: (store: Store) => Promise<T>): Promise<T> {
    await this.#reopening;
    if (this.#memory !== undefined) return ask(this.#memory);
    try {
      return await ask(this.#disk);
    } catch (error) {
      if (isOfArguments(error)) throw error;
      return ask(await this.#giveUp(error));
    }
  }

  async #writtenWithMoreRoom(error: unknown, changes: Change[]): Promise<boolean> {
    if (!(error instanceof Error) || error.name !== "QuotaExceededError") return false;
    try {
      await this.#disk.makeRoom();
      await this.#disk.write(changes);
      return true;
    } catch {
      return false;
    }
  }

  /** The browser closed it, perhaps because the site's data was cleared. */
  async #reopen(): Promise<void> {
    try {
      await this.#disk.open();
      if (this.#disk.created) await this.#disk.write(this.#copy());
    } catch {
      await this.#giveUp(new Error(WHY.lost)).catch(() => undefined);
    }
  }

  async #giveUp(error: unknown): Promise<MemoryStore> {
    if (this.#closed) throw error;
    if (this.#memory !== undefined) return this.#memory;
    const memory = new MemoryStore();
    this.#memory = memory;
    await memory.write(this.#copy());
    this.#failed(error instanceof Error ? error : new Error(String(error)));
    return memory;
  }

  #copy(): Change[] {
    return [
      ...[...this.#outbox.values()].map((entry) => ({ put: "outbox", entry }) as const),
      ...[...this.#cursors].map(([conversation, seq]) => ({ put: "cursor", conversation, seq }) as const),
    ];
  }
}

/** Whether whoever called is at fault, and not the device. */
function isOfArguments(error: unknown): boolean {
  if (error instanceof TypeError) return true;
  const { name } = (error ?? {}) as { name?: unknown };
  return name === "DataError" || name === "DataCloneError";
}

/** Does a change to the copy; answers how to take it back. */
function mirror(
  change: Change,
  outbox: Map<MessageId, OutboxEntry>,
  cursors: Map<Conversation, Seq>,
): () => void {
  if ("put" in change) {
    if (change.put === "outbox") return setting(outbox, change.entry.id, change.entry);
    if (change.put === "cursor") return setting(cursors, change.conversation, change.seq);
  } else {
    if (change.drop === "outbox") return setting(outbox, change.id, undefined);
    if (change.drop === "conversation") return setting(cursors, change.conversation, undefined);
  }
  return () => undefined;
}

function setting<K, V>(map: Map<K, V>, key: K, value: V | undefined): () => void {
  const put = (what: V | undefined) => void (what === undefined ? map.delete(key) : map.set(key, what));
  const before = map.get(key);
  put(value);
  return () => put(before);
}

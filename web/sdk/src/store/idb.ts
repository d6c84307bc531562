/**
 * IndexedDB with promises: as little as the store needs.
 *
 * @module
 */

/** A database that does not open in this time does not open: some browsers forget to say so. */
const OPEN_TIMEOUT_MS = 5_000;

/** What a request answers. */
export function answer<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("a request of IndexedDB failed"));
  });
}

/** Resolves once a transaction is complete. */
export function complete(tx: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    tx.oncomplete = () => resolve();
    tx.onabort = () => reject(tx.error ?? new Error("a transaction of IndexedDB was aborted"));
  });
}

/** How a database is opened, and what may happen to it later. */
export interface Opened {
  name: string;
  version: number;
  /** Makes what is missing since `from`, which is 0 for a new database. */
  upgrade(db: IDBDatabase, from: number): void;
  /** It was closed by somebody else: `deleted` by another tab, wanted by a `newer` page, or `lost`. */
  closed(why: "deleted" | "newer" | "lost"): void;
}

/** Opens a database. */
export function openDatabase(
  factory: IDBFactory,
  { name, version, upgrade, closed }: Opened,
): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = factory.open(name, version);
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      reject(new Error("the database on this device does not open"));
    }, OPEN_TIMEOUT_MS);
    request.onupgradeneeded = (event) => upgrade(request.result, event.oldVersion);
    request.onerror = () => {
      clearTimeout(timer);
      reject(request.error ?? new Error("the database on this device does not open"));
    };
    request.onsuccess = () => {
      clearTimeout(timer);
      const db = request.result;
      if (late) return db.close();
      // Another tab deletes it or brings a newer version: to stand in its way would hang that tab.
      db.onversionchange = (event) => {
        db.close();
        closed(event.newVersion === null ? "deleted" : "newer");
      };
      db.onclose = () => closed("lost");
      resolve(db);
    };
  });
}

/** Deletes a database; tabs that have it open are asked to close it. */
export function deleteDatabase(factory: IDBFactory, name: string): Promise<void> {
  return answer(factory.deleteDatabase(name)).then(() => undefined);
}

/**
 * The key `count` steps from the beginning of a range (from its end with `prev`), or `undefined` if it has fewer.
 */
export function keyAt(
  store: IDBObjectStore,
  range: IDBKeyRange,
  count: number,
  direction: "next" | "prev",
): Promise<IDBValidKey | undefined> {
  return new Promise((resolve, reject) => {
    const request = store.openKeyCursor(range, direction);
    let moved = count === 0;
    request.onerror = () => reject(request.error ?? new Error("a cursor of IndexedDB failed"));
    request.onsuccess = () => {
      const cursor = request.result;
      if (cursor === null || moved) return resolve(cursor?.key);
      moved = true;
      cursor.advance(count);
    };
  });
}

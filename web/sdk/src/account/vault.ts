/**
 * Where the signed-in account is kept: an IndexedDB of its own, or memory where there is none.
 *
 * @module
 */
import type { NamedEdges } from "../engine/named.js";
import type { DeviceId, Millis, Tokens } from "../wire.js";

/** A signed-in account with its secrets. */
export interface SignedIn extends Tokens {
  server: string;
  /** Until when the access token is good, by this device's clock, which may be wrong. */
  good_until: Millis;
}

/** What is kept. */
export interface Vault {
  account(): Promise<SignedIn | undefined>;
  /** Resolves once it is durable; without an account, the one there is forgotten. */
  setAccount(account: SignedIn | undefined): Promise<void>;
  /** The device that somebody was signed in on here before, so that it does not become another one. */
  device(server: string, handle: string): Promise<DeviceId | undefined>;
  setDevice(server: string, handle: string, device: DeviceId | undefined): Promise<void>;
  /** The edges of a server that were named last, and when; a vault without these two knows them for one run. */
  edges?(server: string): Promise<unknown>;
  setEdges?(server: string, edges: NamedEdges): Promise<void>;
}

const DATABASE = "natterjack-accounts";
const STORE = "accounts";
const ACCOUNT = "account";

/** The vault of this origin; in memory, and for this run alone, where there is no IndexedDB or it cannot be opened. */
export function openVault(factory: IDBFactory | undefined = globalThis.indexedDB): Vault {
  const memory = new MemoryValues();
  return new Values(factory === undefined ? memory : new DatabaseValues(factory, memory));
}

interface KeyValues {
  get(key: string): Promise<unknown>;
  set(key: string, value: unknown): Promise<void>;
}

class Values implements Vault {
  readonly #values: KeyValues;

  constructor(values: KeyValues) {
    this.#values = values;
  }

  account(): Promise<SignedIn | undefined> {
    return this.#values.get(ACCOUNT) as Promise<SignedIn | undefined>;
  }

  setAccount(account: SignedIn | undefined): Promise<void> {
    return this.#values.set(ACCOUNT, account);
  }

  device(server: string, handle: string): Promise<DeviceId | undefined> {
    return this.#values.get(deviceKey(server, handle)) as Promise<DeviceId | undefined>;
  }

  setDevice(server: string, handle: string, device: DeviceId | undefined): Promise<void> {
    return this.#values.set(deviceKey(server, handle), device);
  }

  edges(server: string): Promise<unknown> {
    return this.#values.get(`edges ${server}`);
  }

  setEdges(server: string, edges: NamedEdges): Promise<void> {
    return this.#values.set(`edges ${server}`, edges);
  }
}

function deviceKey(server: string, handle: string): string {
  return `device ${server} ${handle.toLowerCase()}`;
}

class MemoryValues implements KeyValues {
  readonly #values = new Map<string, unknown>();

  get(key: string): Promise<unknown> {
    return Promise.resolve(this.#values.get(key));
  }

  set(key: string, value: unknown): Promise<void> {
    this.#values.set(key, value);
    return Promise.resolve();
  }
}

class DatabaseValues implements KeyValues {
  readonly #factory: IDBFactory;
  readonly #instead: KeyValues;
  #open: Promise<IDBDatabase | undefined> | undefined;

  /** @param instead - Used for this run where the database cannot be opened, as in some private windows. */
  constructor(factory: IDBFactory, instead: KeyValues) {
    this.#factory = factory;
    this.#instead = instead;
  }

  async get(key: string): Promise<unknown> {
    const database = await this.#database();
    if (database === undefined) return this.#instead.get(key);
    const request = database.transaction(STORE).objectStore(STORE).get(key);
    return settled<unknown>(request, () => request.result);
  }

  async set(key: string, value: unknown): Promise<void> {
    const database = await this.#database();
    if (database === undefined) return this.#instead.set(key, value);
    // Strict: a refresh token that was used and forgotten signs the device out.
    const transaction = database.transaction(STORE, "readwrite", { durability: "strict" });
    const store = transaction.objectStore(STORE);
    if (value === undefined) store.delete(key);
    else store.put(value, key);
    await new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error ?? new Error("the account could not be kept"));
    });
  }

  #database(): Promise<IDBDatabase | undefined> {
    this.#open ??= this.#opened();
    return this.#open;
  }

  async #opened(): Promise<IDBDatabase | undefined> {
    try {
      const request = this.#factory.open(DATABASE, 1);
      request.onupgradeneeded = () => request.result.createObjectStore(STORE);
      const database = await settled(request, () => request.result);
      const gone = (): void => {
        database.close();
        this.#open = undefined;
      };
      database.onversionchange = gone;
      database.onclose = gone;
      return database;
    } catch {
      return undefined;
    }
  }
}

function settled<T>(request: IDBRequest, result: () => T): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(result());
    request.onerror = () => reject(request.error ?? new Error("the account cannot be read on this device"));
  });
}

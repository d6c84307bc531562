/**
 * A client for Natterjack, for browsers and Node ≥ 20, without dependencies.
 *
 * @packageDocumentation
 */
export * from "./wire.js";
export * from "./errors.js";
export * from "./events.js";
export type * from "./client.js";
export type * from "./models/models.js";
export type * from "./store/store.js";
export type * from "./api/api.js";
export type * from "./account/account.js";
export type * from "./account/tokens.js";
export { createClient } from "./create.js";
export { IndexedDbStore, type DatabaseEvents } from "./store/indexeddb.js";
export { SafeStore } from "./store/safe.js";
export { MemoryStore } from "./store/memory.js";
export { accounts, type AccountsOptions } from "./account/accounts.js";
export { openVault, type Vault, type SignedIn } from "./account/vault.js";
export { makeUlid } from "./ulid.js";
export { createApi, type ApiOptions } from "./api/http.js";

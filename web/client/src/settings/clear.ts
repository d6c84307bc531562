/**
 * Removes what this device keeps of a user. All of it but unsent messages is a copy of what the server has.
 */

/** The database that the SDK keeps for a user. */
const databaseOf = (user: string) => `natterjack.${user}`;

/** Removes it; resolves when it is gone, or when a tab that still uses it will let it go. */
export function clearData(user: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.deleteDatabase(databaseOf(user));
    request.onsuccess = () => resolve();
    request.onblocked = () => resolve();
    request.onerror = () => reject(request.error ?? new Error("the database was not removed"));
  });
}

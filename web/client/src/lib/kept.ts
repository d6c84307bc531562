/**
 * Whose data is on this device. Who signs out without a word to forget finds it again, unless somebody else signs in
 * before: they did not ask to share a disk.
 *
 * @module
 */
import type { UserId } from "natterjack-sdk";

import { read, write } from "./storage.js";

const NAME = "kept";

const users = (): UserId[] => (read(NAME) ?? "").split(" ").filter((user) => user !== "");

/** Notes that this user's data is kept from now on, and forgets that of all others; one that resists, next time. */
export async function keepOnly(user: UserId, forget: (user: UserId) => Promise<void>): Promise<void> {
  const others = users().filter((one) => one !== user);
  write(NAME, [...others, user].join(" "));
  for (const other of others) {
    try {
      await forget(other);
      const rest = users().filter((one) => one !== other);
      write(NAME, rest.join(" "));
    } catch (error) {
      console.info("data of another user stays for now:", error);
    }
  }
}

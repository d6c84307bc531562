/**
 * Looking for people on the server while somebody types: after a pause, and only the newest answer counts.
 *
 * @module
 */
import type { Client, Profile } from "natterjack-sdk";

const PAUSE_MS = 200;
/** The server looks for no less. */
export const SHORTEST = 2;

/** Call it in a component's initialisation; `query` is read reactively. */
export function peopleSearch(client: Client, query: () => string) {
  let found = $state.raw<readonly Profile[]>([]);
  let searching = $state(false);
  let error = $state.raw<unknown>();

  $effect(() => {
    const prefix = query().trim().replace(/^@/, "");
    error = undefined;
    if ([...prefix].length < SHORTEST) {
      found = [];
      searching = false;
      return;
    }
    searching = true;
    let current = true;
    const timer = setTimeout(async () => {
      try {
        const people = await client.api.searchUsers(prefix, 20);
        if (current) found = people;
      } catch (thrown) {
        if (current) [found, error] = [[], thrown];
      } finally {
        if (current) searching = false;
      }
    }, PAUSE_MS);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  });

  return {
    /** Who was found last. */
    get found() {
      return found;
    },
    /** An answer is awaited. */
    get searching() {
      return searching;
    },
    /** Why there is none. */
    get error() {
      return error;
    },
  };
}

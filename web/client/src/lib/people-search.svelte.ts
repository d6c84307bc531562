/**
 * Looking for people on the server while somebody types: after a pause, and only the answer to what stands there
 * counts.
 *
 * @module
 */
import type { Client } from "natterjack-sdk";

import { answerTo, asked, prefixOf, type Answer } from "./people.js";

const PAUSE_MS = 200;

/** Call it in a component's initialisation; `query` is read reactively. */
export function peopleSearch(client: Client, query: () => string) {
  const prefix = $derived(prefixOf(query()));
  let last = $state.raw<Answer>();
  const answer = $derived(answerTo(prefix, last));
  const searching = $derived(asked(prefix) && answer === undefined);
  /** What is to be done once the answer is there. */
  let awaiting: (() => void) | undefined;

  $effect(() => {
    const wanted = prefix;
    if (!asked(wanted)) return;
    let current = true;
    const timer = setTimeout(async () => {
      try {
        const found = await client.api.searchUsers(wanted, 20);
        if (!current) return;
        last = { prefix: wanted, found };
        awaiting?.();
      } catch (error) {
        if (current) last = { prefix: wanted, found: [], error };
      } finally {
        if (current) awaiting = undefined;
      }
    }, PAUSE_MS);
    return () => {
      current = false;
      awaiting = undefined;
      clearTimeout(timer);
    };
  });

  return {
    /** Who was found by what stands there; nobody while the answer is awaited. */
    get found() {
      return answer?.found ?? [];
    },
    /** An answer is awaited. */
    get searching() {
      return searching;
    },
    /** Why there is none. */
    get error() {
      return answer?.error;
    },
    /** Runs it once the answer is there; never if the query changes before, or there is none to be had. */
    whenAnswered(run: () => void): void {
      if (searching) awaiting = run;
      else run();
    },
  };
}

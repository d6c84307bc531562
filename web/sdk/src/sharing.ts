/**
 * The HTTP API of a client: loaded with its first call, and what it tells of a conversation is known to the lists
 * of all tabs at once.
 *
 * @module
 */
import type { Api } from "./api/api.js";
import type { ApiOptions } from "./api/http.js";
import type { Note } from "./tabs/seat.js";
import type { Summary } from "./wire.js";

export type { Api };

/** Calls that answer with an entry of the list. */
const TELLING = ["conversation", "mute", "unmute", "createGroup", "renameGroup", "addMembers"];

type Calls = Record<string, (...args: unknown[]) => Promise<unknown>>;

/** The API, with each summary that it answers shared. */
export function createSharingApi(options: ApiOptions, share: (note: Note) => void): Api {
  let loading: Promise<Calls> | undefined;
  const load = (): Promise<Calls> => {
    loading ??= import("./api/http.js").then(({ createApi }) => createApi(options) as unknown as Calls);
    // What could not be loaded is asked for again by the next call.
    loading.catch(() => (loading = undefined));
    return loading;
  };
  return new Proxy({} as Api, {
    get: (_, name) => {
      // No promise, though it has every other name.
      if (typeof name !== "string" || name === "then") return undefined;
      return async (...args: unknown[]) => {
        const answer = await (await load())[name]!(...args);
        if (TELLING.includes(name)) share({ note: "summary", summary: answer as Summary });
        return answer;
      };
    },
  });
}

/**
 * The HTTP API of a client: what it tells of a conversation is known to the lists of all tabs at once.
 *
 * @module
 */
import type { Api } from "./api/api.js";
import { type ApiOptions, createApi } from "./api/http.js";
import type { Note } from "./tabs/seat.js";
import type { Summary } from "./wire.js";

export type { Api };

/** Calls that answer with an entry of the list. */
const TELLING = ["mute", "unmute", "createGroup", "renameGroup", "addMembers"] as const;

/** The API, with each summary that it answers shared. */
export function createSharingApi(options: ApiOptions, share: (note: Note) => void): Api {
  const api = createApi(options);
  const sharing = Object.fromEntries(
    TELLING.map((name) => [
      name,
      async (...args: never[]) => {
        const summary = await (api[name] as (...args: never[]) => Promise<Summary>).apply(api, args);
        share({ note: "summary", summary });
        return summary;
      },
    ]),
  );
  return new Proxy(api, {
    get: (target, name) => {
      if (typeof name === "string" && name in sharing) return sharing[name];
      const own: unknown = Reflect.get(target, name);
      return typeof own === "function" ? (own as () => unknown).bind(target) : own;
    },
  });
}

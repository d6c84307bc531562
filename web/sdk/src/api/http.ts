/**
 * The HTTP API over fetch.
 *
 * @module
 */
import type { ClientOptions } from "../client.js";
import { UnreachableError } from "../errors.js";
import type { Api } from "./api.js";

/** What a request needs. */
export type ApiOptions = Pick<ClientOptions, "server" | "tokens" | "fetch">;

/** The API of a server, as the user whose tokens these are. */
export function createApi(_options: ApiOptions): Api {
  return new Proxy({} as Api, {
    get: () => () => Promise.reject(new UnreachableError("not connected")),
  });
}

/**
 * The HTTP API over fetch, in the name of a user.
 *
 * @module
 */
import { cachedTokens } from "../account/cached.js";
import type { TokenSource } from "../account/tokens.js";
import type { ClientOptions } from "../client.js";
import { ServerError, UnreachableError } from "../errors.js";
import { makeUlid } from "../ulid.js";
import type * as wire from "../wire.js";
import type { Api } from "./api.js";
import type { EdgeMemory } from "./known-edges.js";
import { type Repeat, Servers } from "./servers.js";

/** How long the server may take for an answer. */
const TIMEOUT_MS = 20_000;

/** What a request needs. */
export type ApiOptions = Pick<ClientOptions, "server" | "tokens" | "fetch" | "region" | "discover"> & {
  /** What is remembered of edges, for when the server is gone; without it, they are asked for now and then. */
  memory?: EdgeMemory;
};

type Query = Record<string, string | number | undefined>;

/** The API of a server, as the user whose tokens these are. */
export function createApi(options: ApiOptions): Api {
  return new HttpApi(options);
}

class HttpApi implements Api {
  readonly #tokens: TokenSource;
  readonly #servers: Servers;
  #device: wire.DeviceId | undefined;

  constructor(options: ApiOptions) {
    this.#tokens = cachedTokens(options.tokens);
    this.#servers = new Servers(options);
  }

  me(): Promise<wire.Me> {
    return this.#call("GET", "/v1/me");
  }

  setMe(change: Parameters<Api["setMe"]>[0]): Promise<wire.Me> {
    return this.#call("PATCH", "/v1/me", change);
  }

  searchUsers(prefix: string, limit?: number): Promise<wire.Profile[]> {
    return this.#call("GET", path("/v1/users", { prefix, limit }));
  }

  users(ids: wire.UserId[]): Promise<wire.Profile[]> {
    return ids.length === 0 ? Promise.resolve([]) : this.#call("GET", path("/v1/users", { ids: ids.join() }));
  }

  presence(users: wire.UserId[]): Promise<wire.UserPresence[]> {
    if (users.length === 0) return Promise.resolve([]);
    return this.#call("GET", path("/v1/presence", { users: users.join() }));
  }

  devices(): Promise<wire.Device[]> {
    return this.#call("GET", "/v1/devices");
  }

  async revokeDevice(id: wire.DeviceId): Promise<void> {
    await this.#call("DELETE", `/v1/devices/${encodeURIComponent(id)}`);
  }

  async revokeOtherDevices(): Promise<void> {
    await this.#call("DELETE", "/v1/devices");
  }

  pushChannels(): Promise<wire.PushChannels> {
    return this.#call("GET", "/v1/push");
  }

  async registerWebPush(subscription: PushSubscriptionJSON): Promise<wire.Device> {
    const { endpoint, keys } = subscription;
    // Browsers demand that every push shows something, so none that only takes one away.
    const body = {
      channel: "webpush",
      endpoint,
      keys: { p256dh: keys?.["p256dh"], auth: keys?.["auth"] },
      silent: false,
    };
    return this.#call("PUT", `/v1/devices/${await this.#ownDevice()}/push`, body);
  }

  async unregisterPush(): Promise<void> {
    await this.#call("DELETE", `/v1/devices/${await this.#ownDevice()}/push`);
  }

  conversations(page?: string, limit?: number): Promise<wire.ConversationPage> {
    return this.#call("GET", path("/v1/conversations", { page, limit }));
  }

  conversation(conversation: wire.Conversation): Promise<wire.Summary> {
    return this.#call("GET", of(conversation));
  }

  mute(conversation: wire.Conversation, mute: wire.Mute): Promise<wire.Summary> {
    return this.#call("PUT", `${of(conversation)}/mute`, mute);
  }

  unmute(conversation: wire.Conversation): Promise<wire.Summary> {
    return this.#call("DELETE", `${of(conversation)}/mute`);
  }

  members(conversation: wire.Conversation): Promise<wire.Member[]> {
    return this.#call("GET", `${of(conversation)}/members`);
  }

  createGroup(title: string, members: wire.UserId[], requestId: string = makeUlid()): Promise<wire.Summary> {
    return this.#call("POST", "/v1/groups", { request_id: requestId, title, members });
  }

  renameGroup(group: wire.GroupId, title: string): Promise<wire.Summary> {
    return this.#call("PATCH", ofGroup(group), { title });
  }

  addMembers(group: wire.GroupId, users: wire.UserId[]): Promise<wire.Summary> {
    return this.#call("POST", `${ofGroup(group)}/members`, { users });
  }

  async removeMember(group: wire.GroupId, user: wire.UserId): Promise<void> {
    await this.#call("DELETE", `${ofGroup(group)}/members/${encodeURIComponent(user)}`, undefined, "no");
  }

  /** Done once: an owner who steps down may not do it a second time. */
  async setRole(group: wire.GroupId, user: wire.UserId, role: wire.Role): Promise<void> {
    await this.#call("PATCH", `${ofGroup(group)}/members/${encodeURIComponent(user)}`, { role }, "no");
  }

  history(conversation: wire.Conversation, anchor: wire.Anchor, limit?: number): Promise<wire.Page> {
    return this.#call("GET", path(`${of(conversation)}/messages`, { ...anchor, limit }));
  }

  edges(region?: string): Promise<wire.EdgeInfo[]> {
    const going = { path: path("/v1/edges", { region }), repeat: "yes", timeoutMs: TIMEOUT_MS } as const;
    return this.#servers.ask(going) as Promise<wire.EdgeInfo[]>;
  }

  async logOut(): Promise<void> {
    await this.#call("POST", "/v1/logout", undefined, "no");
  }

  /** The device of the token: what its source says, else what the server says. */
  async #ownDevice(): Promise<wire.DeviceId> {
    this.#device ??= (await this.#tokens({})).device;
    this.#device ??= (await this.devices()).find((device) => device.current)?.id;
    if (this.#device === undefined)
      throw new UnreachableError("the server does not know this device yet: connect first");
    return encodeURIComponent(this.#device);
  }

  /** Once more with a fresh token, if the server says that this one has ended. */
  async #call<T>(method: string, pathname: string, body?: unknown, repeat: Repeat = "yes"): Promise<T> {
    const { token, device } = await this.#tokens({});
    try {
      return await this.#once<T>(method, pathname, body, repeat, token, device);
    } catch (error) {
      const ended =
        error instanceof ServerError && (error.code === "token_expired" || error.code === "unauthorized");
      if (!ended) throw error;
      const fresh = await this.#tokens({ refused: token });
      return this.#once<T>(method, pathname, body, repeat, fresh.token, fresh.device);
    }
  }

  #once<T>(
    method: string,
    pathname: string,
    body: unknown,
    repeat: Repeat,
    token: string,
    device: wire.DeviceId | undefined,
  ): Promise<T> {
    const headers = {
      authorization: `Bearer ${token}`,
      ...(device !== undefined && { "natterjack-device": device }),
    };
    const going = { path: pathname, repeat, method, body, headers, timeoutMs: TIMEOUT_MS };
    return this.#servers.ask(going) as Promise<T>;
  }
}

function path(pathname: string, query: Query): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query))
    if (value !== undefined) parameters.set(name, String(value));
  const text = parameters.toString();
  return text === "" ? pathname : `${pathname}?${text}`;
}

function of(conversation: wire.Conversation): string {
  return `/v1/conversations/${encodeURIComponent(conversation)}`;
}

function ofGroup(group: wire.GroupId): string {
  return `/v1/groups/${encodeURIComponent(group)}`;
}

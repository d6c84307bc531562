/**
 * Who people are and whether they are there.
 *
 * @module
 */
import type { Profile, UserId, UserPresence } from "../wire.js";
import { checkedUser } from "../check.js";
import { type Context, keep } from "./context.js";
import type { People } from "./models.js";
import { Observable } from "./observable.js";

/** Profiles of one request. */
const BATCH_MAX = 100;
/** Until the server has said its own. */
const WATCH_MAX = 1_000;
/** Changes of what is watched are collected for so long. */
const WATCH_DELAY_MS = 200;

/** Profiles, kept in the store and brought up to date once a run; presence of those who are watched. */
export class PeopleModel extends Observable<number> implements People {
  readonly #context: Context;
  readonly #profiles = new Map<UserId, Profile>();
  readonly #presence = new Map<UserId, UserPresence>();
  /** Asked for in this run, so that nobody is asked for twice. */
  readonly #asked = new Set<UserId>();
  readonly #wanted = new Set<UserId>();
  readonly #watched: Set<UserId>[] = [];
  #watching = "";
  #timer: ReturnType<typeof setTimeout> | undefined;
  #fetching = false;
  #version = 0;

  constructor(context: Context) {
    super(context.ticker);
    this.#context = context;
    context.hub.on("presence", ({ users }) => this.#heard(users));
    context.hub.on("connection", ({ state }) => {
      if (state !== "online") return;
      void this.#fetch();
      this.#rewatch();
    });
  }

  protected build(): number {
    return this.#version;
  }

  profile(user: UserId): Profile | undefined {
    // An id that is not there yet, in a view: nobody, and no reason to ask.
    if (typeof user !== "string" || user === "") return undefined;
    if (!this.#asked.has(user)) {
      this.#asked.add(user);
      this.#wanted.add(user);
      // A moment later, with all others that one view asks for.
      if (this.#wanted.size === 1) queueMicrotask(() => void this.#load());
    }
    return this.#profiles.get(user);
  }

  presence(user: UserId): UserPresence | undefined {
    return this.#presence.get(user);
  }

  watch(users: Iterable<UserId>): () => void {
    const own = new Set([...users].map(checkedUser));
    this.#watched.push(own);
    this.#rewatch();
    return () => {
      const index = this.#watched.indexOf(own);
      if (index < 0) return;
      this.#watched.splice(index, 1);
      this.#rewatch();
    };
  }

  /** Takes in profiles that came with something else. */
  learn(profiles: Iterable<Profile | undefined>): void {
    const fresh: Profile[] = [];
    for (const profile of profiles) {
      if (profile === undefined) continue;
      this.#asked.add(profile.id);
      this.#wanted.delete(profile.id);
      const known = this.#profiles.get(profile.id);
      if (known?.name === profile.name && known.handle === profile.handle) continue;
      this.#profiles.set(profile.id, profile);
      fresh.push(profile);
    }
    if (fresh.length === 0) return;
    this.#bump();
    keep(this.#context.store, [{ put: "profiles", profiles: fresh }]);
  }

  /** Ends the timers. */
  close(): void {
    clearTimeout(this.#timer);
  }

  async #load(): Promise<void> {
    const unknown = [...this.#wanted].filter((user) => !this.#profiles.has(user));
    for (const profile of await this.#context.store.profiles(unknown).catch(() => [])) {
      if (this.#profiles.has(profile.id)) continue;
      this.#profiles.set(profile.id, profile);
      this.#bump();
    }
    await this.#fetch();
  }

  async #fetch(): Promise<void> {
    if (this.#fetching) return;
    this.#fetching = true;
    try {
      while (this.#wanted.size > 0) {
        const batch = [...this.#wanted].slice(0, BATCH_MAX);
        const profiles = await this.#context.api.users(batch);
        for (const user of batch) this.#wanted.delete(user);
        this.learn(profiles);
      }
    } catch {
      // Asked again when the connection is back, or with the next one that is wanted.
    } finally {
      this.#fetching = false;
    }
  }

  #heard(users: UserPresence[]): void {
    for (const presence of users) this.#presence.set(presence.user, presence);
    this.#bump();
  }

  #rewatch(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      const max = this.#context.limits?.watch_users_max ?? WATCH_MAX;
      // Where there are too many, those that were asked for last are on the screen.
      const users = new Set(this.#watched.toReversed().flatMap((set) => [...set]));
      const list = [...users].slice(0, max).sort();
      const key = list.join();
      if (key === this.#watching) return;
      this.#watching = key;
      for (const user of this.#presence.keys()) if (!users.has(user)) this.#presence.delete(user);
      this.#context.ask({ do: "watch", tab: "", users: list }).catch(() => {
        this.#watching = "";
      });
    }, WATCH_DELAY_MS);
  }

  #bump(): void {
    this.#version += 1;
    this.changed();
  }
}

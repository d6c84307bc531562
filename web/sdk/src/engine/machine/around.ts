/**
 * What is around messages: who is writing, who is there, and which tabs of one's own are looked at.
 *
 * @module
 */
import type { Conversation, UserId, WireError } from "../../wire.js";
import { type Outlet, earliest } from "./io.js";

/** Typing is told again after so long, before those who hear it forget it. */
const TYPING_AGAIN_MS = 3_000;
/** Forgotten so long after the last word. */
const TYPING_FORGOTTEN_MS = 6_000;
/** No more often than four times a second; the server takes no more. */
const WATCH_PAUSE_MS = 260;
/** How long to wait before the server is asked again, if it does not say itself. */
const WATCH_AGAIN_MS = 5_000;

interface Tab {
  active: boolean;
  watched: readonly UserId[];
}

/** The tabs of this user on this device, and what follows from them. */
export class Tabs {
  readonly #tabs = new Map<string, Tab>();
  /** The same list until it changes, so that comparing costs nothing. */
  #watched: readonly UserId[] = [];

  setActive(tab: string, active: boolean): void {
    this.#tab(tab).active = active;
  }

  setWatched(tab: string, users: readonly UserId[]): void {
    this.#tab(tab).watched = users;
    this.#unite();
  }

  leave(tab: string): void {
    this.#tabs.delete(tab);
    this.#unite();
  }

  /** Whether any is in the foreground. */
  get active(): boolean {
    for (const tab of this.#tabs.values()) if (tab.active) return true;
    return false;
  }

  /** All who are shown in any, each once and in order. */
  get watched(): readonly UserId[] {
    return this.#watched;
  }

  #unite(): void {
    const users = new Set<UserId>();
    for (const tab of this.#tabs.values()) for (const user of tab.watched) users.add(user);
    const united = [...users].sort();
    const same =
      united.length === this.#watched.length && united.every((user, n) => user === this.#watched[n]);
    if (!same) this.#watched = united;
  }

  #tab(name: string): Tab {
    const tab = this.#tabs.get(name) ?? { active: false, watched: [] };
    this.#tabs.set(name, tab);
    return tab;
  }
}

/** One's own typing on its way out, and that of others until it is forgotten. Milliseconds that never fall. */
export class Typing {
  readonly #out: Outlet;
  readonly #told = new Map<Conversation, number>();
  readonly #others = new Map<string, { conversation: Conversation; user: UserId; until: number }>();

  constructor(out: Outlet) {
    this.#out = out;
  }

  /** With each key, or when one stops: whether the server is to be told. */
  say(conversation: Conversation, active: boolean, now: number): boolean {
    const told = this.#told.get(conversation);
    const recently = told !== undefined && now < told + TYPING_AGAIN_MS;
    if (active ? recently : told === undefined || now >= told + TYPING_FORGOTTEN_MS) return false;
    if (active) this.#told.set(conversation, now);
    else this.#told.delete(conversation);
    return true;
  }

  /** Somebody is writing, or has stopped. */
  heard(conversation: Conversation, user: UserId, active: boolean, now: number): void {
    const key = `${conversation} ${user}`;
    const known = this.#others.delete(key);
    if (active) this.#others.set(key, { conversation, user, until: now + TYPING_FORGOTTEN_MS });
    if (active !== known) this.#out.emit("typing", { conversation, user, active });
  }

  /** Forgets those whose last word is long ago. */
  tick(now: number): void {
    for (const { conversation, user, until } of this.#others.values()) {
      if (until <= now) this.heard(conversation, user, false, now);
    }
  }

  /** Nothing more is heard: nobody is known to write. */
  disconnected(now: number): void {
    this.#told.clear();
    for (const { conversation, user } of this.#others.values()) this.heard(conversation, user, false, now);
  }

  get deadline(): number | undefined {
    return earliest(...[...this.#others.values()].map(({ until }) => until));
  }
}

/** Which list of people the server was given, and when it may be given the next. */
export class Watching {
  #told: readonly UserId[] = [];
  #asking: readonly UserId[] | undefined;
  #mayAskAt = 0;

  /** Whether to ask for this list now: the very one that was asked for is the same. */
  ask(users: readonly UserId[], now: number): boolean {
    if (!this.#isNews(users) || this.#asking !== undefined || this.#mayAskAt > now) return false;
    this.#asking = users;
    this.#mayAskAt = now + WATCH_PAUSE_MS;
    return true;
  }

  /** The server took it. */
  answered(): void {
    this.#told = this.#asking ?? this.#told;
    this.#asking = undefined;
  }

  /** It did not, or without an error, did not in time. One that it will never take counts as told. */
  refused(error: WireError | undefined, now: number): void {
    if (error !== undefined && !error.retryable) return this.answered();
    this.#asking = undefined;
    this.#mayAskAt = now + Math.max(WATCH_AGAIN_MS, error?.retry_after_ms ?? 0);
  }

  /** A new connection watches nobody. */
  disconnected(): void {
    this.#told = [];
    this.#asking = undefined;
    this.#mayAskAt = 0;
  }

  /** When {@link ask} may have something to do. */
  deadline(users: readonly UserId[]): number | undefined {
    return this.#isNews(users) && this.#asking === undefined ? this.#mayAskAt : undefined;
  }

  #isNews(users: readonly UserId[]): boolean {
    return users !== this.#told && (users.length > 0 || this.#told.length > 0);
  }
}

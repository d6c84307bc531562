/**
 * What the models stand on.
 *
 * @module
 */
import type { Api } from "../api/api.js";
import type { Answers, Command } from "../engine/engine.js";
import type { Connection, OutboxEntry } from "../events.js";
import type { Hub } from "../hub.js";
import type { Change, Store } from "../store/store.js";
import type { Conversation, Limits, Profile, Summary } from "../wire.js";
import type { Ticker } from "./observable.js";

/** Keeps a copy of what the server has: where that fails, the store has said so, and nothing is lost. */
export function keep(store: Store, changes: Change[]): void {
  store.write(changes).catch(ignore);
}

/** For what may fail without harm. */
export function ignore(): undefined {
  return undefined;
}

/** The parts of a client that its models use. */
export interface Context {
  readonly hub: Hub;
  readonly store: Store;
  readonly api: Api;
  readonly ticker: Ticker;
  readonly user: Profile | undefined;
  readonly limits: Limits | undefined;
  readonly connection: Connection;
  readonly leader: boolean;
  readonly people: { learn(profiles: Iterable<Profile | undefined>): void };
  /** The entry of the list, if there is one. */
  summary(conversation: Conversation): Summary | undefined;
  outbox(): Promise<OutboxEntry[]>;
  ask<C extends Command>(command: C): Promise<Answers[C["do"]]>;
}

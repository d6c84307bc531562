/**
 * The bridge from what the SDK keeps up to date to Svelte: whoever reads `current` in a template or effect is run
 * again when there is a new snapshot.
 *
 * @module
 */
import type { Client, Connection, Model } from "natterjack-sdk";
import { createSubscriber } from "svelte/reactivity";

/** A value to read reactively. */
export interface Live<T> {
  readonly current: T;
}

/** A model's snapshot. Subscribed to while something reads it. */
export function live<T>(model: Model<T>): Live<T> {
  const track = createSubscriber((update) => model.subscribe(update));
  return {
    get current() {
      track();
      return model.snapshot;
    },
  };
}

/** The connection's state. */
export function liveConnection(client: Client): Live<Connection> {
  const track = createSubscriber((update) => client.on("connection", update));
  return {
    get current() {
      track();
      return client.connection;
    },
  };
}

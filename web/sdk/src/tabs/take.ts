/**
 * Chooses a seat and makes its engine: everything of a client that is about the connection, in one piece that is
 * loaded after the rest.
 *
 * @module
 */
import type { ClientOptions } from "../client.js";
import type { Emit, Engine } from "../engine/engine.js";
import { LocalEngine } from "../engine/local.js";
import type { Store } from "../store/store.js";
import type { Conversation, Seq } from "../wire.js";
import { Heard } from "./heard.js";
import { type Note, type Seat, SoloSeat } from "./seat.js";
import { type Browser, SharedSeat } from "./shared.js";

/**
 * A seat for a client: one that is shared with other tabs where that is wanted and can be.
 *
 * @param cursors - What was kept when the client began.
 */
export function takeSeat(
  options: ClientOptions,
  store: Store,
  tell: { emit: Emit; note: (note: Note) => void },
  cursors: ReadonlyMap<Conversation, Seq>,
): Seat {
  const make = async (emit: Emit, heard: Heard): Promise<Engine> => {
    const opening = await store.open();
    for await (const missed of heard.missed(store, opening.cursors)) emit("messages", missed);
    return new LocalEngine({ options, store, opening, emit });
  };
  const { account, shareTabs = options.store === undefined } = options;
  const browser = shareTabs && account !== undefined ? thisBrowser() : undefined;
  if (browser === undefined || account === undefined) return new SoloSeat(make, tell.emit);
  return new SharedSeat(account, browser, make, tell, new Heard(cursors));
}

/** What tabs need to share a connection, if all of it is here. */
function thisBrowser(): Browser | undefined {
  const locks: LockManager | undefined = globalThis.navigator?.locks;
  const here = typeof BroadcastChannel === "function" && typeof document === "object";
  if (locks === undefined || !here) return undefined;
  return {
    locks,
    channel: (name) => new BroadcastChannel(name),
    visible: () => document.visibilityState === "visible",
  };
}

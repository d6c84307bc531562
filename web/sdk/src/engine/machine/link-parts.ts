/**
 * What a link is made of, what it is part of, and where it can be.
 *
 * @module
 */
import type { AccessToken } from "../../account/tokens.js";
import type { Conversation, HelloDevice, Ready, Seq } from "../../wire.js";
import type { NamedEdges } from "../named.js";
import type { Route } from "../route.js";
import type { Outlet, Settings } from "./io.js";
import { VALUES } from "./parts.js";
import type { Session } from "./session.js";

/** Where a link is; times are those of the machine. */
export type Phase =
  | { at: "idle" }
  | { at: "stopped" }
  /** Waits for an access token. */
  | { at: "token"; until: number }
  /** Waits for what discovery knows. */
  | { at: "choosing"; until: number }
  /** Waits for the socket. */
  | { at: "connecting"; until: number }
  /** `hello` is out. */
  | { at: "opening"; until: number }
  | { at: "live"; session: Session }
  | { at: "waiting"; until: number };

/** What a link is part of. */
export interface LinkHost {
  /** What `hello` says beside the token. */
  hello(): { resume?: Record<Conversation, Seq>; active: boolean };
  /** `ready` was heard. */
  live(ready: Ready, now: number): void;
  /** What was said over the connection and not answered will not be. */
  lost(now: number): void;
  /** The last that is said before an edge is left on purpose. */
  parting(now: number): void;
  /** How many sends have no answer. */
  inFlight(): number;
  /** A fresh token, for the server. */
  handIn(token: AccessToken, now: number): void;
  /** Nothing comes any more. */
  ended(): void;
}

/** Edges that are remembered, at most: as many as a server names. */
const EDGES_MAX = 16;

/** Keeps which edges there are, for the next run, and for whoever asks by HTTP. */
export function noteEdges({ out, wall }: LinkParts, edges: readonly string[] | undefined): void {
  if (edges === undefined || edges.length === 0) return;
  const value: NamedEdges = { at: wall(), edges: edges.slice(0, EDGES_MAX) };
  out.keep([{ put: "value", name: VALUES.edges, value }]);
}

/** What a link is made of. */
export interface LinkParts {
  settings: Settings;
  route: Route;
  device: (token: AccessToken) => HelloDevice | undefined;
  name: string | undefined;
  random: () => number;
  /** Unix milliseconds. */
  wall: () => number;
  out: Outlet;
}

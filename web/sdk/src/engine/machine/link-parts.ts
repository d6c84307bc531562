/**
 * What a link is made of, and what it is part of.
 *
 * @module
 */
import type { AccessToken } from "../../account/tokens.js";
import type { Conversation, HelloDevice, Ready, Seq } from "../../wire.js";
import type { Route } from "../route.js";
import type { Outlet, Settings } from "./io.js";

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

/**
 * What a machine is made of.
 *
 * @module
 */
import type { AccessToken } from "../../account/tokens.js";
import type { Opening } from "../../store/store.js";
import type { Conversation, HelloDevice, MessageId, Seq, UserId } from "../../wire.js";
import type { Settings } from "./io.js";
import { EDGES } from "../named.js";
import { READS } from "./reading.js";

/** What is remembered from one run to the next. */
export interface Remembered {
  /** This device was here before, so that `hello` carries its cursors. */
  resumes: boolean;
  me: UserId | undefined;
  /** Read, and perhaps not told. */
  reads: Record<Conversation, Seq>;
  /** Addresses of edges, as they were named last. */
  edges: readonly string[];
}

/** The names of the machine's values in the store: the last `ready`, what was read and is not surely told, edges. */
export const VALUES = { user: "user", limits: "limits", reads: READS, edges: EDGES } as const;

/** What a machine is made of. */
export interface Parts {
  settings: Settings;
  server: string;
  discover: boolean;
  name?: string | undefined;
  device: (token: AccessToken) => HelloDevice | undefined;
  opening: Opening;
  remembered: Remembered;
  /** Between 0 and 1. */
  random: () => number;
  makeId: () => MessageId;
  /** Unix milliseconds; only told and kept, never compared. */
  wall: () => number;
}

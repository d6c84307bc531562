/**
 * Message ids: UUIDs of version 7 (RFC 9562), ascending even within a millisecond and while the clock is set back.
 *
 * @module
 */
import type { MessageId } from "../wire.js";

/** Twelve bits count within a millisecond; the upper half is left free at its start, to count into. */
const COUNTER_MAX = 0xfff;
const COUNTER_START_MAX = 0x7ff;

/**
 * Makes a maker of message ids.
 *
 * @param wall - Unix milliseconds.
 * @param fill - Fills an array with random bytes; by default those of the platform's `crypto`.
 */
export function messageIds(
  wall: () => number,
  fill: (bytes: Uint8Array<ArrayBuffer>) => unknown = (bytes) => crypto.getRandomValues(bytes),
): () => MessageId {
  let last = -1;
  let counter = 0;
  return () => {
    const bytes = fill16(fill);
    const now = Math.floor(wall());
    if (now > last) {
      last = now;
      counter = ((bytes[6]! << 8) | bytes[7]!) & COUNTER_START_MAX;
    } else if (counter < COUNTER_MAX) {
      counter += 1;
    } else {
      // More than two thousand in one millisecond: borrow from the next one.
      last += 1;
      counter = 0;
    }
    for (let place = 0; place < 6; place += 1) {
      bytes[place] = Math.floor(last / 2 ** (8 * (5 - place))) % 256;
    }
    bytes[6] = 0x70 | (counter >> 8);
    bytes[7] = counter & 0xff;
    bytes[8] = 0x80 | (bytes[8]! & 0x3f);
    return text(bytes);
  };
}

function fill16(fill: (bytes: Uint8Array<ArrayBuffer>) => unknown): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(16);
  fill(bytes);
  return bytes;
}

function text(bytes: Uint8Array): string {
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

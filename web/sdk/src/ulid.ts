/**
 * Ids of devices and groups that a client makes itself, so that a request that was not answered can be made again.
 *
 * @module
 */

const DIGITS = "0123456789abcdefghjkmnpqrstvwxyz";
/** The last 16 digits are random, the ten before them the time. */
const [TIME_DIGITS, RANDOM_DIGITS] = [10, 16];

/** A ULID in lower case. */
export function makeUlid(wall: number = Date.now()): string {
  let [time, rest] = ["", wall];
  for (let digit = 0; digit < TIME_DIGITS; digit += 1) {
    time = DIGITS[rest % 32]! + time;
    rest = Math.floor(rest / 32);
  }
  const random = crypto.getRandomValues(new Uint8Array(RANDOM_DIGITS));
  return time + Array.from(random, (byte) => DIGITS[byte % 32]).join("");
}

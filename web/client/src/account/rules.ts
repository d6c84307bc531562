/**
 * What the server takes as handle and password, checked before it is asked. Pure.
 *
 * @module
 */

/** What is wrong, as a name of the catalogue. */
export type Complaint = "fillIn" | "handleInvalid" | "passwordShort";

const HANDLE = /^[a-z0-9_.-]{3,32}$/;
const PASSWORD_CHARS_MIN = 8;

/** A handle as it was meant: people write "@Ann". */
export function tidyHandle(written: string): string {
  return written.trim().replace(/^@/, "").toLowerCase();
}

/** The first thing that is wrong; when logging in, a rule that the account may be older than is not enforced. */
export function complaint(handle: string, password: string, creating: boolean): Complaint | undefined {
  if (handle === "" || password === "") return "fillIn";
  if (!creating) return undefined;
  if (!HANDLE.test(handle)) return "handleInvalid";
  if ([...password].length < PASSWORD_CHARS_MIN) return "passwordShort";
  return undefined;
}

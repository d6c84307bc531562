/**
 * One's own profile while the settings are open: fetched once, and changed with what the server says to each change.
 */
import type { Api, Me } from "natterjack-sdk";

/** What can be changed. */
export type Change = Parameters<Api["setMe"]>[0];

/** The profile as the server knows it. */
export class OwnProfile {
  /** Absent until it was fetched. */
  me = $state.raw<Me>();
  /** Why it could not be fetched, or the last change not be made. */
  error = $state.raw<unknown>();
  /** The fields that are being changed, or were changed last. */
  saving = $state.raw<Change>();
  saved = $state.raw<Change>();

  constructor(private readonly api: Pick<Api, "me" | "setMe">) {}

  /** Fetches it. */
  async load(): Promise<void> {
    this.error = undefined;
    try {
      this.me = await this.api.me();
    } catch (error) {
      this.error = error;
    }
  }

  /** Changes it; until the server has said yes, it stays as it was. */
  async change(change: Change): Promise<void> {
    this.error = undefined;
    this.saved = undefined;
    this.saving = change;
    try {
      this.me = await this.api.setMe(change);
      this.saved = change;
    } catch (error) {
      this.error = error;
    } finally {
      this.saving = undefined;
    }
  }
}

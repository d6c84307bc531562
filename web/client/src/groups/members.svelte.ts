/**
 * The members of a conversation, kept up to date while they are shown.
 *
 * @module
 */
import type { Client, Conversation, Member } from "natterjack-sdk";

/** Call it in a component's initialisation. */
export function membersOf(client: Client, conversation: Conversation) {
  let members = $state.raw<readonly Member[]>();
  let error = $state.raw<unknown>();
  let asked = 0;

  async function load(): Promise<void> {
    const turn = ++asked;
    try {
      const answer = await client.api.members(conversation);
      // A later question's answer is newer.
      if (turn === asked) [members, error] = [answer, undefined];
    } catch (thrown) {
      if (turn === asked) error = thrown;
    }
  }

  $effect(() => {
    void load();
    const changed = client.on("messages", (event) => {
      if (event.conversation === conversation && event.messages.some((one) => one.kind === "event"))
        void load();
    });
    // What happened while there was no connection is in no event that the list could miss.
    const back = client.on("resumed", () => void load());
    return () => {
      changed();
      back();
    };
  });

  return {
    /** Absent until they are loaded. */
    get current() {
      return members;
    },
    /** Why they could not be loaded the last time. */
    get error() {
      return error;
    },
    load,
  };
}

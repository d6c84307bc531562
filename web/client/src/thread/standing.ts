/**
 * Asks the server whether one is in a group that the list does not name.
 *
 * @module
 */
import type { Client, Conversation, ErrorCode } from "natterjack-sdk";

/** Refusals that say that one is not in it. */
const OUT: readonly ErrorCode[] = ["not_member", "not_found"];

/** What is needed of a client. */
interface Asked {
  readonly api: Pick<Client["api"], "conversation">;
  on: Client["on"];
}

/**
 * Asks now, and again whenever the connection is back: what was asked without one has no answer, and meanwhile
 * things may have changed. Only an answer is told. Answers how to end.
 */
export function askWhetherIn(
  client: Asked,
  conversation: Conversation,
  tell: (isIn: boolean) => void,
): () => void {
  let over = false;
  const answered = (isIn: boolean): void => {
    if (!over) tell(isIn);
  };
  const ask = (): void => {
    client.api.conversation(conversation).then(
      () => answered(true),
      (error: unknown) => {
        if (OUT.some((code) => error instanceof Error && "code" in error && error.code === code))
          answered(false);
      },
    );
  };
  const undo = client.on("resumed", ask);
  ask();
  return () => {
    over = true;
    undo();
  };
}

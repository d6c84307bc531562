/**
 * One conversation, as a view shows a piece of it.
 *
 * @module
 */
import type { Conversation, MessageId, UserCursor } from "../wire.js";
import type { Context } from "./context.js";
import type { Place, Thread, ThreadView } from "./models.js";
import { Observable } from "./observable.js";

/** A piece without a hole. */
export class ThreadModel extends Observable<ThreadView> implements Thread {
  readonly conversation: Conversation;
  readonly cursors: readonly UserCursor[] = [];
  readonly #closed: () => void;

  constructor(context: Context, conversation: Conversation, closed: () => void) {
    super(context.ticker);
    this.conversation = conversation;
    this.#closed = closed;
  }

  protected build(): ThreadView {
    return { items: [], atStart: false, atEnd: false, loading: "none" };
  }

  jump(_place: Place): Promise<MessageId | undefined> {
    return Promise.resolve(undefined);
  }

  older(): Promise<void> {
    return Promise.resolve();
  }

  newer(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {
    this.#closed();
  }
}

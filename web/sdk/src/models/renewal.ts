/**
 * Looks again at what is loaded, after a gap in which it may have been edited or deleted.
 *
 * @module
 */
import type { Message, Seq } from "../wire.js";
import type { Piece } from "./piece.js";

/** Renews a piece from the server, as soon as that is possible. */
export class Renewal {
  readonly #piece: Piece;
  readonly #after: (seq: Seq) => Promise<readonly Message[]>;
  #due = false;
  #underWay = false;

  /** @param after - The server's messages after a place, as they are now. */
  constructor(piece: Piece, after: (seq: Seq) => Promise<readonly Message[]>) {
    this.#piece = piece;
    this.#after = after;
  }

  /** There was a gap: what is loaded is looked at now if that is possible, or when {@link go} says so. */
  want(now: boolean): void {
    this.#due = true;
    if (now) this.go();
  }

  /** Nothing is being loaded: goes on with what waits for that, or for a connection. */
  go(): void {
    if (!this.#due || this.#underWay) return;
    this.#due = false;
    this.#underWay = true;
    this.#renew()
      // Again when there is a connection.
      .catch(() => {
        this.#due = true;
      })
      .finally(() => {
        this.#underWay = false;
      });
  }

  async #renew(): Promise<void> {
    let at = (this.#piece.first ?? 1) - 1;
    while (at < this.#piece.end) {
      const messages = await this.#after(at);
      const last = messages.at(-1);
      if (last === undefined) return;
      this.#piece.renew(messages);
      at = last.seq;
    }
  }
}

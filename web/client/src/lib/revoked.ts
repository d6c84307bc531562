/**
 * The moment at which this device is signed out from elsewhere.
 *
 * @module
 */
import type { Client, Connection } from "natterjack-sdk";

/** Runs `then` once the device is revoked, which it may be already, unless the returned function is called before. */
export function whenRevoked(client: Pick<Client, "connection" | "on">, then: () => void): () => void {
  let isDone = false;
  const look = ({ reason }: Connection): void => {
    if (isDone || reason !== "revoked") return;
    isDone = true;
    then();
  };
  const stop = client.on("connection", look);
  look(client.connection);
  return stop;
}

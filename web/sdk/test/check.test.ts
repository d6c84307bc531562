/** What an application may ask a client for. */
import { expect, onTestFinished, test } from "vitest";
import { type Client, createClient, type SocketLike, UsageError } from "../src/index.js";

const ANN = "01j9z3k4m5n6p7q8r9s0t1v2w3";
const BOB = "01j9z3m8x2c4v6b8n0q2w4e6r8";
const DM = `dm.${ANN}.${BOB}`;
const GROUP = "group.01j9z4c5v6b7n8m9q0w1e2r3t4";

/** Never connected: what is asked for is refused, or kept. */
class NoSocket {
  readyState = 0;
  bufferedAmount = 0;
  onopen = null;
  onmessage = null;
  onclose = null;
  onerror = null;
  send(): void {}
  close(): void {}
}

async function client(): Promise<Client> {
  const made = createClient({
    server: "http://127.0.0.1:1",
    tokens: () => Promise.resolve({ token: "t" }),
    WebSocket: NoSocket as unknown as new (url: string) => SocketLike,
    discover: false,
  });
  onTestFinished(() => made.stop());
  await made.start();
  return made;
}

test("names that no server knows are refused before they are kept or sent", async () => {
  const made = await client();
  const names = [
    "",
    "bob",
    ANN,
    `dm.${BOB}.${ANN}`,
    `dm.${ANN}.bob`,
    "group.g",
    GROUP.toUpperCase(),
    `${GROUP} `,
    `group.8${ANN.slice(1)}`,
    `group.${ANN.replace("3", "u")}`,
    undefined as unknown as string,
  ];
  for (const name of names) {
    await expect(made.send(name, "text"), name).rejects.toThrow(UsageError);
    await expect(made.read(name, 1), name).rejects.toThrow(UsageError);
    await expect(made.history(name, {}), name).rejects.toThrow(UsageError);
    expect(() => made.typing(name, true), name).toThrow(UsageError);
  }
  for (const name of [DM, `dm.${ANN}.${ANN}`, GROUP]) {
    expect(await made.send(name, "text")).toMatchObject({ conversation: name });
    await made.read(name, 1);
    made.typing(name, true);
  }
});

test("sequences that cannot be are refused", async () => {
  const made = await client();
  for (const seq of [-1, 1.5, NaN, Infinity, 2 ** 53, "1" as unknown as number]) {
    await expect(made.read(DM, seq)).rejects.toThrow(UsageError);
    await expect(made.edit(DM, seq, "text")).rejects.toThrow(UsageError);
    await expect(made.delete(DM, seq)).rejects.toThrow(UsageError);
    await expect(made.send(DM, "text", { replyTo: seq })).rejects.toThrow(UsageError);
    await expect(made.history(DM, { before: seq })).rejects.toThrow(UsageError);
    await expect(made.history(DM, {}, seq)).rejects.toThrow(UsageError);
  }
});

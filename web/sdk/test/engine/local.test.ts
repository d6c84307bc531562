/** The actor around the machine: a fault in one input ends nothing. */
import { readFileSync } from "node:fs";
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { type ClientEvent, MemoryStore, type SocketLike, type TokenSource } from "../../src/index.js";
import { LocalEngine } from "../../src/engine/local.js";
import { Machine } from "../../src/engine/machine/machine.js";

const READY = readFileSync(new URL("../../../../nats/golden/server.ready.json", import.meta.url), "utf8");
const G = "group.01j9z4c5v6b7n8m9q0w1e2r3t4";

/** A socket whose server greets, and says what the test says. */
class FakeSocket implements SocketLike {
  static made: FakeSocket[] = [];
  readyState = 0;
  bufferedAmount = 0;
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  onerror: ((event: never) => void) | null = null;
  said: string[] = [];

  constructor() {
    FakeSocket.made.push(this);
    queueMicrotask(() => {
      this.readyState = 1;
      this.onopen?.({} as never);
    });
  }

  send(data: string): void {
    this.said.push(data);
    if ((JSON.parse(data) as { type: string }).type === "hello") this.hear(READY);
  }

  hear(data: string): void {
    this.onmessage?.({ data } as never);
  }

  close(): void {
    this.readyState = 3;
  }
}

async function engine(tokens: TokenSource = () => Promise.resolve({ token: "t" })) {
  const events: ClientEvent[] = [];
  const store = new MemoryStore();
  const made = new LocalEngine({
    options: { server: "http://127.0.0.1:1", tokens, WebSocket: FakeSocket, discover: false },
    store,
    opening: await store.open(),
    emit: (type, event) => void events.push({ type, ...event } as unknown as ClientEvent),
  });
  onTestFinished(() => made.stop());
  return { made, events };
}

beforeEach(() => {
  FakeSocket.made = [];
});
afterEach(() => {
  vi.restoreAllMocks();
});

test("a fault at a frame is a broken connection: told, and another one resumes", async () => {
  const { made, events } = await engine();
  await expect.poll(() => made.connection.state).toBe("online");
  vi.spyOn(Machine.prototype, "input").mockImplementationOnce(() => {
    throw new Error("poison");
  });
  FakeSocket.made[0]!.hear('{"type":"resumed","complete":true}');
  expect(made.connection.state).toBe("waiting");
  expect(FakeSocket.made[0]!.readyState).toBe(3);
  expect(events.filter(({ type }) => type === "problem")).toMatchObject([{ error: { code: "internal" } }]);
  await expect.poll(() => made.connection.state).toBe("online");
  expect(FakeSocket.made).toHaveLength(2);
  await made.ask({ do: "enqueue", conversation: G, content: { kind: "text", text: "hello" } });
  await expect.poll(() => FakeSocket.made[1]!.said.some((text) => text.includes("hello"))).toBe(true);
});

test("a fault at a command refuses the command alone", async () => {
  const { made } = await engine();
  await expect.poll(() => made.connection.state).toBe("online");
  const poison = made.ask({ do: "enqueue", conversation: G, content: undefined as never });
  await expect(poison).rejects.toThrow(TypeError);
  expect(made.connection.state).toBe("online");
  await made.ask({ do: "hurry" });
});

test("the device slept while the clock stood still: the server is asked whether it is there", async () => {
  const { made } = await engine();
  await expect.poll(() => made.connection.state).toBe("online");
  const [socket] = FakeSocket.made as [FakeSocket];
  const pings = (): number => socket.said.filter((text) => text.includes('"ping"')).length;
  await made.ask({ do: "typing", conversation: G, active: false });
  expect(pings()).toBe(0);
  const { now } = Date;
  vi.spyOn(Date, "now").mockImplementation(() => now() + 3_600_000);
  await made.ask({ do: "typing", conversation: G, active: false });
  expect(pings()).toBe(1);
});

test("a source that gives no token, without saying so, is asked again", async () => {
  let asked = 0;
  const source = () => Promise.resolve(((asked += 1) > 1 ? { token: "t" } : undefined) as { token: string });
  const { made } = await engine(source);
  await expect.poll(() => made.connection.state).toBe("online");
  expect(asked).toBe(2);
});

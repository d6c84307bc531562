/** One socket at a time: who is left is let go, and says nothing more. */
import { expect, test } from "vitest";
import type { SocketLike } from "../../src/index.js";
import { Sockets } from "../../src/engine/socket.js";

class FakeSocket implements SocketLike {
  static made: FakeSocket[] = [];
  readyState = 0;
  bufferedAmount = 0;
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  onerror: ((event: never) => void) | null = null;
  sent: string[] = [];
  closed = false;

  constructor(readonly url: string) {
    if (url.includes("forbidden")) throw new Error("the policy of the page");
    FakeSocket.made.push(this);
  }

  send(data: string): void {
    this.sent.push(data);
  }

  close(): void {
    this.closed = true;
    // As `ws` does when it was not open yet: an error that must find a listener.
    if (this.onerror === null) throw new Error("nobody hears of this");
    this.onerror({} as never);
  }
}

function sockets() {
  FakeSocket.made = [];
  const heard: unknown[] = [];
  const made = new Sockets(FakeSocket, {
    opened: (socket) => heard.push(["opened", socket]),
    heard: (socket, data) => heard.push([socket, data]),
    closed: (socket, code) => heard.push(["closed", socket, code]),
  });
  return { made, heard };
}

test("what comes is told with the socket's number, and nothing leaves before it is open", () => {
  const { made, heard } = sockets();
  made.open(1, "wss://one/v1/ws");
  const [socket] = FakeSocket.made as [FakeSocket];
  made.send({ type: "ping", id: "p" });
  expect(socket.sent).toEqual([]);
  socket.readyState = 1;
  socket.onopen?.({} as never);
  made.send({ type: "ping", id: "p" });
  socket.onmessage?.({ data: "text" } as never);
  socket.onclose?.({ code: 3001 } as never);
  expect(socket.sent).toEqual(['{"type":"ping","id":"p"}']);
  expect(heard).toEqual([
    ["opened", 1],
    [1, "text"],
    ["closed", 1, 3001],
  ]);
});

test("one that is left is closed without waiting, and its late words are not heard", () => {
  const { made, heard } = sockets();
  made.open(1, "wss://one/v1/ws");
  const [first] = FakeSocket.made as [FakeSocket];
  made.open(2, "wss://two/v1/ws");
  expect(first.closed).toBe(true);
  expect([first.onopen, first.onmessage, first.onclose]).toEqual([null, null, null]);
  made.leave();
  made.leave();
  expect(heard).toEqual([]);
});

test("an address that the page may not go to is a connection that did not come to be", async () => {
  const { made, heard } = sockets();
  made.open(7, "wss://forbidden/v1/ws");
  await expect.poll(() => heard).toEqual([["closed", 7, undefined]]);
});

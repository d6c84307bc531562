/**
 * A bot that answers each text with the same text. Node 20 or later, with `ws` for the socket:
 *
 *     SERVER=http://127.0.0.1:8090 HANDLE=echo PASSWORD='correct horse battery staple' node echo-bot.js
 */
import { accounts, createClient, ServerError, type SocketLike } from "natterjack-sdk";
import { WebSocket } from "ws";

const {
  SERVER: server = "http://127.0.0.1:8090",
  HANDLE: handle = "echo",
  PASSWORD: password = "",
} = process.env;

const own = accounts({ server });
const account = await own.logIn(handle, password).catch((error: unknown) => {
  if (error instanceof ServerError && error.code === "unauthorized")
    return own.signUp(handle, password, "Echo");
  throw error;
});

const client = createClient({
  server,
  tokens: own.tokens(account),
  name: "echo-bot 1.0",
  // Node has one of its own from version 22 on.
  WebSocket: WebSocket as unknown as new (url: string) => SocketLike,
});
process.once("SIGINT", () => void client.stop());

const events = client.events();
await client.start();
console.log(`say something to @${handle}`);

for await (const event of events) {
  if (event.type === "connection") console.log(event.state, event.reason ?? "");
  if (event.type !== "messages") continue;
  for (const message of event.messages) {
    if (message.kind !== "text" || message.text === undefined || message.sender === account.user.id) continue;
    await client.read(message.conversation, message.seq);
    await client.send(message.conversation, message.text, { replyTo: message.seq });
  }
}

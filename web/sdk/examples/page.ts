/** The smallest page: it signs in, shows the conversation with one person, and sends what is written. */
import { accounts, createClient } from "natterjack-sdk";

export async function chat(
  root: HTMLElement,
  server: string,
  handle: string,
  password: string,
  peer: string,
) {
  const own = accounts({ server });
  const account = (await own.current()) ?? (await own.logIn(handle, password));
  const client = createClient({ server, tokens: own.tokens(account), account: account.user.id });
  client.on("connection", ({ state, reason }) => {
    root.dataset.connection = reason ?? state;
  });
  await client.start();

  const list = root.appendChild(document.createElement("ol"));
  const field = root.appendChild(document.createElement("input"));
  const thread = client.thread(client.dm(peer));
  thread.subscribe(({ items }) => {
    list.replaceChildren(
      ...items.map((item) => {
        const row = document.createElement("li");
        row.textContent = `${item.text ?? "(deleted)"} ${item.status ?? ""}`;
        return row;
      }),
    );
    const last = items.findLast((item) => item.seq !== undefined);
    if (last?.seq !== undefined && document.hasFocus()) void client.read(thread.conversation, last.seq);
  });
  await thread.jump({ at: "unread" });

  field.addEventListener("change", () => {
    // Kept on the device first, so it needs no connection; `outbox` events and the thread tell what becomes of it.
    void client.send(thread.conversation, field.value);
    field.value = "";
  });
  return client;
}

/** With the tokens of your own identity provider, where the operator has configured it. */
import { createClient, ServerError, SignedOutError, type TokenSource } from "natterjack-sdk";

/** One id for this browser, made once: the server tells devices apart by it. */
function deviceId(): string {
  const known = localStorage.getItem("device");
  if (known !== null) return known;
  const digits = "0123456789abcdefghjkmnpqrstvwxyz";
  const random = crypto.getRandomValues(new Uint8Array(26));
  // A ULID: the first of its 26 digits is at most 7.
  const made = Array.from(random, (byte, index) => digits[byte % (index === 0 ? 8 : 32)]).join("");
  localStorage.setItem("device", made);
  return made;
}

const tokens: TokenSource = async ({ refused }) => {
  // `refused` is the token that the server did not take: do not give it again.
  const response = await fetch("/my/session/token", { cache: refused === undefined ? "default" : "reload" });
  // Final: the client stops, and its connection says `signed_out`.
  if (response.status === 401) throw new SignedOutError("the session has ended");
  // Anything else that is thrown is tried again, with backoff.
  if (!response.ok) throw new Error(`no token: ${response.status}`);
  const { token, expiresAt } = (await response.json()) as { token: string; expiresAt: number };
  return { token, expiresAt, device: deviceId() };
};

const client = createClient({ server: "https://chat.example.com", tokens, account: "my-user-id" });
await client.start();

try {
  const group = await client.api.createGroup("Climbing", []);
  await client.send(group.conversation, "Who is coming on Sunday?");
} catch (error) {
  if (error instanceof ServerError && error.code === "rate_limited") {
    console.log(`again in ${error.retryAfterMs} ms`);
  } else throw error;
}

/**
 * The golden examples against the types: each one that a client can meet is compiled as a literal of its type, so
 * that a field too few or too many is an error. An example that is not named here is one as well.
 */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import ts from "typescript";
import { expect, test } from "vitest";

import { ERROR_CODES } from "../src/wire.js";

const GOLDEN = fileURLToPath(new URL("../../../nats/golden/", import.meta.url));
const PROTOCOL = fileURLToPath(new URL("../../../docs/protocol.md", import.meta.url));
/** Where the generated file would be: beside this one, so that its imports are found. */
const GENERATED = fileURLToPath(new URL("golden.generated.ts", import.meta.url));

const frame = (side: "Client" | "Server", type: string) => `Extract<W.${side}Frame, { type: "${type}" }>`;
const event = (type: string) => `W.EventMessage & { event: Extract<W.GroupEvent, { type: "${type}" }> }`;
const INTERNAL = "only servers see it";

/** The type of each example, or why it has none. */
const TYPES: Record<string, string | { none: string }> = {
  ...Object.fromEntries(
    "active conversations delete edit hello history ping receipt send token typing watch"
      .split(" ")
      .map((type) => [`client.${type}`, frame("Client", type)]),
  ),
  "client.hello_new_device": frame("Client", "hello"),
  "client.history_at": frame("Client", "history"),
  ...Object.fromEntries(
    "ack conversations draining error history nudge ok pong presence ready receipts resumed truncated typing"
      .split(" ")
      .map((type) => [`server.${type}`, frame("Server", type)]),
  ),
  "server.message": '{ type: "message" } & W.TextMessage',
  "message.text": "W.TextMessage",
  "message.text_edited": "W.TextMessage",
  "message.text_deleted": "W.TextMessage",
  "message.edit": "W.EditMessage",
  "message.delete": "W.DeleteMessage",
  "message.duplicate": "W.DuplicateMessage",
  ...Object.fromEntries(
    "created joined left member_added member_removed renamed role_changed"
      .split(" ")
      .map((type) => [`event.${type}`, event(type)]),
  ),
  device: "W.Device",
  error: "W.WireError",
  member: "W.Member",
  page: "W.Page",
  profile: "W.Profile",
  "summary.dm": "W.Summary",
  "summary.group": "W.Summary",
  "push.message": 'Extract<W.Notice, { type: "message" }>',
  "push.mention": 'Extract<W.Notice, { type: "message" }>',
  "push.withdraw": 'Extract<W.Notice, { type: "withdraw" }>',
  "http.conversations": "W.ConversationPage",
  "http.edges": "W.EdgeInfo[]",
  "http.me": "W.Me",
  "http.mute": "W.Mute",
  "http.presence": "W.UserPresence[]",
  "http.push_channels": "W.PushChannels",
  "http.tokens": "W.Tokens",
  "http.login": "{ handle: string; password: string; device: W.HelloDevice }",
  "http.signup": "{ handle: string; password: string; name?: string; device: W.HelloDevice }",
  "http.refresh": "{ refresh_token: string }",
  "http.push_webpush":
    '{ channel: "webpush"; endpoint: string; keys: { p256dh: string; auth: string }; silent: boolean }',
  "http.push_fcm": { none: "apps of Android and iOS register so, pages do not" },
  sync: { none: "the SDK has a socket" },
  "sync.first": { none: "the SDK has a socket" },
  ...Object.fromEntries(
    (
      "kv.lease kv.presence kv.push kv.push_registration kv.push_sent kv.session push_dead push_trace.attempted " +
      "push_trace.decided push_trace.withdrawn receipts_batch stored.text stored.void"
    )
      .split(" ")
      .map((name) => [name, { none: INTERNAL }]),
  ),
};

const examples = readdirSync(GOLDEN)
  .filter((file) => file.endsWith(".json"))
  .map((file) => file.slice(0, -".json".length));
const typed = examples.filter((name) => typeof TYPES[name] === "string");
const read = (name: string): unknown => JSON.parse(readFileSync(`${GOLDEN}${name}.json`, "utf8"));

/** A literal that is compiled, as the type of an example. */
interface Literal {
  name: string;
  value: unknown;
}

/** Compiles literals; answers which of them are wrong, with the complaints. */
function compile(literals: readonly Literal[]): Map<Literal, string[]> {
  const lines = literals.map(({ name, value }, index) => {
    // On one line, so that a complaint's line names the literal.
    return `export const g${index}: ${TYPES[name] as string} = ${JSON.stringify(value)};`;
  });
  const source = [`import type * as W from "../src/wire.js";`, ...lines].join("\n");
  const options: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    strict: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
    skipLibCheck: true,
    types: [],
    lib: ["lib.es2022.d.ts"],
  };
  const host = ts.createCompilerHost(options);
  const { readFile, fileExists } = host;
  host.readFile = (file) => (file === GENERATED ? source : readFile.call(host, file));
  host.fileExists = (file) => file === GENERATED || fileExists.call(host, file);
  const program = ts.createProgram([GENERATED], options, host);
  const wrong = new Map<Literal, string[]>();
  for (const { file, start, messageText } of ts.getPreEmitDiagnostics(program)) {
    const line = file === undefined ? 0 : file.getLineAndCharacterOfPosition(start ?? 0).line;
    const text = ts.flattenDiagnosticMessageText(messageText, " ");
    const literal = file?.fileName === GENERATED ? literals[line - 1] : undefined;
    if (literal === undefined) throw new Error(`${file?.fileName}: ${text}`);
    wrong.set(literal, [...(wrong.get(literal) ?? []), text]);
  }
  return wrong;
}

/** The first cells of a table of docs/protocol.md. */
function table(name: string): string[] {
  const text = readFileSync(PROTOCOL, "utf8");
  const rows = text
    .slice(text.indexOf(`<!-- table: ${name} -->`))
    .split("\n")
    .slice(3);
  const end = rows.findIndex((row) => !row.startsWith("|"));
  return rows.slice(0, end).map((row) => row.split("|")[1]!.trim().replaceAll("`", ""));
}

test("each example has a type, or a reason to have none", () => {
  expect(examples.filter((name) => TYPES[name] === undefined)).toEqual([]);
  expect(Object.keys(TYPES).filter((name) => !examples.includes(name))).toEqual([]);
});

/** The example with one change in an object: of a list, in its first element. */
function altered(name: string, change: (object: object) => object): unknown {
  const example = read(name);
  return Array.isArray(example)
    ? [change(example[0] as object), ...example.slice(1)]
    : change(example as object);
}

test(
  "each example is exactly of its type: a field too many is noticed, and one too few",
  { timeout: 120_000 },
  () => {
    const exact = typed.map((name) => ({ name, value: read(name) }));
    const more = typed.map((name) => ({ name, value: altered(name, (object) => ({ ...object, more: 1 })) }));
    // Without anything: one type needs nothing.
    const needy = typed.filter((name) => name !== "http.push_channels");
    const less = needy.map((name) => ({ name, value: altered(name, () => ({})) }));
    const wrong = compile([...exact, ...more, ...less]);
    expect(
      exact.map((literal) => [literal.name, wrong.get(literal)]).filter(([, why]) => why !== undefined),
    ).toEqual([]);
    expect([...more, ...less].filter((literal) => !wrong.has(literal))).toEqual([]);
  },
);

test("the codes of errors are those of the one table", () => {
  expect(table("errors")).toEqual([...ERROR_CODES]);
});

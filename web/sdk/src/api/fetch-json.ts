/**
 * One HTTP request with JSON in and out, a time limit, and errors of the one error table.
 *
 * @module
 */
import { ServerError, UnreachableError } from "../errors.js";
import type { WireError } from "../wire.js";

const NOT_IN_TIME = "the server did not answer in time";

/** A request. */
export interface JsonRequest {
  url: string;
  /** GET without one. */
  method?: string | undefined;
  /** Sent as JSON. */
  body?: unknown;
  headers?: Record<string, string>;
  timeoutMs: number;
  fetch?: typeof fetch | undefined;
}

/**
 * Does it, and reads the answer.
 *
 * @throws {ServerError} The server refused it.
 * @throws {UnreachableError} No answer in time, or one that is not the server's.
 */
export async function fetchJson(request: JsonRequest): Promise<unknown> {
  const response = await respond(request);
  let body: unknown;
  try {
    body = await response.json();
  } catch (error) {
    // Whole, and not JSON: it is somebody else's. Else it began to come, and broke off or took too long.
    if (error instanceof SyntaxError) throw notTheServer(response, error);
    throw new UnreachableError(inTime(error) ? "the answer broke off" : NOT_IN_TIME, {
      cause: error,
      late: true,
    });
  }
  if (response.ok) return body;
  throw new ServerError(errorOf(body, response));
}

async function respond({
  url,
  method,
  body,
  headers,
  timeoutMs,
  fetch: given,
}: JsonRequest): Promise<Response> {
  const doFetch = given ?? globalThis.fetch;
  try {
    return await doFetch(url, {
      method: method ?? "GET",
      headers: { ...(body !== undefined && { "content-type": "application/json" }), ...headers },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(timeoutMs),
      credentials: "omit",
      cache: "no-store",
    });
  } catch (error) {
    const late = !inTime(error);
    throw new UnreachableError(late ? NOT_IN_TIME : "the server cannot be reached", { cause: error, late });
  }
}

function inTime(error: unknown): boolean {
  return !(error instanceof Error && error.name === "TimeoutError");
}

/** What stands between says by 504 that it handed the request on, and waited in vain. */
function notTheServer({ status }: Response, cause?: unknown): UnreachableError {
  const why = `what answered ${status} is not the server: something stands between`;
  return new UnreachableError(why, { cause, late: status === 504 });
}

/** What the server says, also with a code of a newer one; of something else that answers, what its status says. */
function errorOf(body: unknown, response: Response): WireError {
  const told = (typeof body === "object" && body !== null ? body : {}) as Partial<WireError>;
  const { code, message, retryable } = told;
  if (typeof code === "string" && typeof message === "string" && typeof retryable === "boolean") {
    const after = told.retry_after_ms ?? retryAfterMs(response);
    return {
      code,
      message,
      retryable,
      ...(after !== undefined && { retry_after_ms: after }),
    };
  }
  throw notTheServer(response);
}

function retryAfterMs(response: Response): number | undefined {
  const seconds = Number(response.headers.get("retry-after") ?? Number.NaN);
  return Number.isFinite(seconds) ? seconds * 1_000 : undefined;
}

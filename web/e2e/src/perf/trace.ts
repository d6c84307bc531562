/**
 * What the page's own main thread did, from a trace of the browser.
 *
 * Times are the thread's CPU time (`tdur`), and not the clock's: on a busy machine a task that has to wait for a
 * processor is no longer for it.
 *
 * @module
 */
import type { Browser, Page } from "playwright-core";

/** A document in a process, when tracing began or when it was navigated to. */
interface Frame {
  url?: string;
  processId?: number;
}

interface TraceEvent {
  name: string;
  ph: string;
  pid: number;
  tid: number;
  ts: number;
  dur?: number;
  tdur?: number;
  args?: { name?: string; data?: Frame & { frames?: Frame[] } };
}

/** A task of the main thread. */
export interface Task {
  /** CPU time, in milliseconds. */
  cpuMs: number;
  /** Time on the clock, in milliseconds. */
  wallMs: number;
}

/** What was recorded. */
export interface Trace {
  /** Those of the page's main thread, the longest first. */
  tasks: Task[];
  /** The file's content, for the Performance panel of DevTools. */
  json: Buffer;
}

/** Records while `act` runs. */
export async function trace(browser: Browser, page: Page, act: () => Promise<void>): Promise<Trace> {
  await browser.startTracing(page, {
    categories: [
      "devtools.timeline",
      "disabled-by-default-devtools.timeline",
      "toplevel",
      "blink.user_timing",
    ],
  });
  try {
    await act();
  } catch (error) {
    await browser.stopTracing();
    throw error;
  }
  const json = await browser.stopTracing();
  return { tasks: tasksOf(JSON.parse(json.toString()) as { traceEvents: TraceEvent[] }, page.url()), json };
}

function tasksOf({ traceEvents }: { traceEvents: TraceEvent[] }, url: string): Task[] {
  const origin = new URL(url).origin;
  const frames = traceEvents.flatMap(({ args }) => [args?.data ?? {}, ...(args?.data?.frames ?? [])]);
  const pids = new Set(
    frames.filter((frame) => frame.url?.startsWith(origin)).map((frame) => frame.processId),
  );
  const main = traceEvents.filter(
    (event) => event.name === "thread_name" && event.args?.name === "CrRendererMain" && pids.has(event.pid),
  );
  const threads = new Set(main.map(({ pid, tid }) => `${pid} ${tid}`));
  if (threads.size === 0) throw new Error("the trace does not show the page's main thread");
  return traceEvents
    .filter(({ name, ph, pid, tid }) => ph === "X" && name === "RunTask" && threads.has(`${pid} ${tid}`))
    .map(({ dur = 0, tdur = 0 }) => ({ cpuMs: tdur / 1_000, wallMs: dur / 1_000 }))
    .sort((a, b) => b.cpuMs - a.cpuMs);
}

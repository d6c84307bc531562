/**
 * The shell: the files of the page, kept by the service worker so that it opens at once and without a network.
 *
 * One cache a build, filled as a whole before the build takes over. The cache of the build before stays until the
 * next one comes, since other tabs may still run it and load its chunks.
 */

/** The files of a build, as the build wrote them into the worker. */
export interface Precache {
  /** Names the build. */
  build: string;
  /** Path and digest (`sha256-…`, as for subresource integrity). */
  files: Record<string, string>;
}

const PREFIX = "shell-";
/** The page for every address of the application. */
export const PAGE = "/index.html";
/** The server's own: neither kept nor answered. */
const OF_THE_SERVER = /^\/(?:v1|healthz|readyz|metrics)(?:\/|$)/;
/** Opened in the address bar, a file is not a place in the application. (Conversations have dots in their names.) */
const A_FILE = /^\/(?:assets\/|icons\/|[^/]*\.\w+$)/;

/** What a request is to the shell: the page, one of its files, or nothing of its business. */
export function route(
  request: { method: string; mode: string; url: string },
  origin: string,
  list: Precache,
): string | undefined {
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== origin || OF_THE_SERVER.test(url.pathname)) return undefined;
  // A chunk of another build is asked for by a tab that still runs it.
  if (url.pathname in list.files || isHashed(url.pathname)) return url.pathname;
  if (request.mode === "navigate" && !A_FILE.test(url.pathname)) return PAGE;
  return undefined;
}

/**
 * Fetches every file of the build into its cache, or fails and leaves nothing behind.
 *
 * @throws When a file cannot be had, or is one of another build: the browser then keeps the worker that it has.
 */
export async function install(list: Precache, storage: CacheStorage, load: typeof fetch): Promise<void> {
  const name = PREFIX + list.build;
  try {
    const cache = await storage.open(name);
    await Promise.all(
      Object.entries(list.files).map(async ([path, integrity]) => {
        if (await cache.match(path)) return; // Of an installation that was cut short: checked when it was put.
        const old = isHashed(path) ? await storage.match(path) : undefined;
        await cache.put(path, old ?? (await fetchFile(path, integrity, load)));
      }),
    );
  } catch (error) {
    await storage.delete(name);
    throw error;
  }
}

async function fetchFile(path: string, integrity: string, load: typeof fetch): Promise<Response> {
  // Not from the HTTP cache unless its name is its content: it may hold a former build's.
  const response = await load(path, { integrity, cache: isHashed(path) ? "default" : "reload" });
  if (!response.ok || response.redirected) throw new Error(`${path} was answered with ${response.status}`);
  return response;
}

/** Whether a file's name tells its content. */
const isHashed = (path: string) => path.startsWith("/assets/");

/** Removes the caches of all builds but this one and the one before it. */
export async function removeOld(list: Precache, storage: CacheStorage): Promise<void> {
  const own = PREFIX + list.build;
  // In the order of their making.
  const others = (await storage.keys()).filter((name) => name.startsWith(PREFIX) && name !== own);
  await Promise.all(others.slice(0, -1).map((name) => storage.delete(name)));
}

/** The file from the cache of this build, else from that of the build before, else from the network. */
export async function answer(
  path: string,
  request: Request,
  list: Precache,
  storage: CacheStorage,
  load: typeof fetch,
): Promise<Response> {
  const kept =
    (await (await storage.open(PREFIX + list.build)).match(path)) ??
    (isHashed(path) ? await storage.match(path) : undefined);
  // The browser may have thrown the cache away: then it is as if there were no worker.
  return kept ?? load(request);
}

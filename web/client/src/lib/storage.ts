/**
 * Small settings of this browser. Where storage is forbidden, they last as long as the page.
 *
 * @module
 */
const memory = new Map<string, string>();

/** The value under a name, or null. */
export function read(name: string): string | null {
  try {
    return localStorage.getItem(name);
  } catch {
    return memory.get(name) ?? null;
  }
}

/** Keeps a value; null takes it away. */
export function write(name: string, value: string | null): void {
  try {
    if (value === null) localStorage.removeItem(name);
    else localStorage.setItem(name, value);
  } catch {
    if (value === null) memory.delete(name);
    else memory.set(name, value);
  }
}

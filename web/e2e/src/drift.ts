/**
 * How much what one reads moves although nobody scrolled: 0 px is the promise.
 *
 * @module
 */
import type { Page } from "playwright-core";

/** What a walk through a thread has shown. */
export interface Walk {
  /** Numbers of the messages that were seen, in the order of their first sight. */
  seen: number[];
  /** The largest that a row was away from where the scrolling alone would have put it, in CSS pixels. */
  driftMax: number;
  /** How often rows were added or taken away on the way. */
  loads: number;
  steps: number;
}

/**
 * Scrolls in steps of most of a screen until `last` has been seen. In each step a row that stays on the screen
 * is marked; once everything has settled it has to be where the step alone has put it.
 */
export function walk(page: Page, direction: "up" | "down", last: number): Promise<Walk> {
  return page.evaluate(
    async ({ direction, last }) => {
      const feed = document.querySelector<HTMLElement>('[role="feed"]')!;
      let scroller: HTMLElement = feed;
      while (!/auto|scroll/.test(getComputedStyle(scroller).overflowY)) scroller = scroller.parentElement!;
      const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
      const rows = () => [...feed.querySelectorAll<HTMLElement>("[data-key]")];
      let changes = 0;
      const observer = new MutationObserver((records) => {
        if (records.some((record) => record.type === "childList")) changes += 1;
      });
      observer.observe(feed, { childList: true, subtree: true });
      /** Until nothing has been added for some frames. */
      const settle = async () => {
        for (let quiet = 0, before = changes; quiet < 3; before = changes) {
          await frame();
          quiet = changes === before && feed.getAttribute("aria-busy") !== "true" ? quiet + 1 : 0;
        }
      };
      const seen = new Set<number>();
      const result = { seen: [] as number[], driftMax: 0, loads: 0, steps: 0 };
      const patience = performance.now() + 120_000;
      for (;;) {
        const box = scroller.getBoundingClientRect();
        const visible = rows().filter((row) => {
          const { top, bottom } = row.getBoundingClientRect();
          return bottom > box.top && top < box.bottom;
        });
        const numbers = visible.map((row) => Number(/#(\d+)/.exec(row.textContent)?.[1] ?? Number.NaN));
        for (const number of direction === "up" ? numbers.reverse() : numbers) {
          if (!Number.isNaN(number)) seen.add(number);
        }
        if (seen.has(last) || performance.now() > patience) break;
        const marked = direction === "up" ? visible.at(0) : visible.at(-1);
        if (!marked) throw new Error("nothing is on the screen");
        const top = marked.getBoundingClientRect().top;
        const at = scroller.scrollTop;
        const before = changes;
        scroller.scrollTop += (direction === "up" ? -0.8 : 0.8) * box.height;
        const expected = top - (scroller.scrollTop - at);
        await settle();
        if (!marked.isConnected) throw new Error("a row that is on the screen was taken away");
        result.driftMax = Math.max(result.driftMax, Math.abs(marked.getBoundingClientRect().top - expected));
        if (changes !== before) result.loads += 1;
        result.steps += 1;
      }
      observer.disconnect();
      result.seen = [...seen];
      return result;
    },
    { direction, last },
  );
}

/**
 * The page's place, kept in the browser's history: plain links work, Back and Forward work, and a reload stays.
 *
 * @module
 */
import { href, parse, type Route } from "./route.js";

/** What each entry of the history remembers. */
interface Entry {
  /** The address before it within this page. */
  previous?: string;
}

let route = $state.raw<Route>(parse(location));

function address(): string {
  return location.pathname + location.search;
}

function arrive(): void {
  route = parse(location);
}

/** The one router of the page. */
export const router = {
  /** Where the page is. Reactive. */
  get route(): Route {
    return route;
  },

  /** Goes there; the same address again is no new entry. */
  go(to: Route, options: { replace?: boolean } = {}): void {
    const target = href(to);
    const here = address();
    if (options.replace || target === here) {
      history.replaceState(history.state, "", target);
    } else {
      history.pushState({ previous: here } satisfies Entry, "", target);
    }
    arrive();
  },

  /**
   * One level up: back where the way down came from there. Otherwise, as after a link from outside, it takes this
   * entry's place: the browser's Back leads out and not down again.
   */
  up(to: Route): void {
    const previous = (history.state as Entry | null)?.previous;
    if (previous === href(to)) history.back();
    else this.go(to, { replace: true });
  },

  /**
   * Follows the browser's history and takes over plain clicks on links into the page, until it is called.
   * A link with `data-replace` takes the place of where it stands.
   */
  listen(): () => void {
    const follow = (event: MouseEvent): void => {
      if (event.defaultPrevented || event.button !== 0) return;
      if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
      const link = event.target instanceof Element ? event.target.closest("a[href]") : null;
      if (!(link instanceof HTMLAnchorElement)) return;
      if (link.origin !== location.origin || link.target !== "" || link.hasAttribute("download")) return;
      // The server's own addresses are not the page's.
      if (link.pathname.startsWith("/v1/")) return;
      event.preventDefault();
      this.go(parse(link), { replace: link.hasAttribute("data-replace") });
    };
    addEventListener("popstate", arrive);
    document.addEventListener("click", follow);
    return () => {
      removeEventListener("popstate", arrive);
      document.removeEventListener("click", follow);
    };
  },
};

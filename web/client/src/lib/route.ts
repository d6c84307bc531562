/**
 * Addresses and what they mean. Pure: the router applies it to the browser's history.
 *
 * @module
 */
import type { Conversation, Seq } from "natterjack-sdk";

/** The sections of the settings. */
export const SETTINGS = ["profile", "notifications", "devices", "appearance", "about"] as const;
/** One of {@link SETTINGS}; the first stands at `/settings` itself. */
export type SettingsSection = (typeof SETTINGS)[number];

/** What the page shows. */
export type Route =
  | { name: "list" }
  | { name: "thread"; conversation: Conversation; message?: Seq }
  | { name: "details"; conversation: Conversation }
  | { name: "settings"; section?: SettingsSection }
  | { name: "login" }
  | { name: "signup" };

const CONVERSATION = /^(dm\.[0-9a-z]{26}\.[0-9a-z]{26}|group\.[0-9a-z]{26})$/;

/** The route at an address. Whatever is not one of ours is the list. */
export function parse(url: { pathname: string; search: string }): Route {
  const [first, second, third, ...rest] = url.pathname.split("/").filter((part) => part !== "");
  if (rest.length > 0) return { name: "list" };
  if (first === "c" && second !== undefined && CONVERSATION.test(second)) {
    if (third === "details") return { name: "details", conversation: second };
    if (third !== undefined) return { name: "list" };
    const message = Number(new URLSearchParams(url.search).get("m") ?? "0");
    return Number.isSafeInteger(message) && message > 0
      ? { name: "thread", conversation: second, message }
      : { name: "thread", conversation: second };
  }
  if (third !== undefined) return { name: "list" };
  if (first === "settings") {
    const section = SETTINGS.find((known) => known === second);
    return section ? { name: "settings", section } : { name: "settings" };
  }
  if (second === undefined && (first === "login" || first === "signup")) return { name: first };
  return { name: "list" };
}

/** The address of a route: `parse` of it gives the route back. */
export function href(route: Route): string {
  switch (route.name) {
    case "list":
      return "/";
    case "thread":
      return `/c/${route.conversation}${route.message === undefined ? "" : `?m=${route.message}`}`;
    case "details":
      return `/c/${route.conversation}/details`;
    case "settings":
      return route.section ? `/settings/${route.section}` : "/settings";
    default:
      return `/${route.name}`;
  }
}

/** Where there is room for one pane only. */
export const ONE_PANE = "(max-width: 719px)";

/** The conversation whose messages are on the screen: where there is one pane only, its details cover them. */
export function onScreen(route: Route, onePane: boolean): Conversation | undefined {
  return onePane && route.name === "details" ? undefined : conversationOf(route);
}

/** Where to be instead: who is signed in does not sign in, and nobody else sees anything but that. */
export function instead(route: Route, isSignedIn: boolean): Route | undefined {
  const signsIn = route.name === "login" || route.name === "signup";
  if (signsIn !== isSignedIn) return undefined;
  return { name: isSignedIn ? "list" : "login" };
}

/** The conversation that a route shows, if it shows one. */
export function conversationOf(route: Route): Conversation | undefined {
  return route.name === "thread" || route.name === "details" ? route.conversation : undefined;
}

/** Words that every part of the page uses: English. */
import { plurals } from "./plural.js";

const plural = plurals("en");

export default {
  appName: "Natterjack",
  back: "Back",
  cancel: "Cancel",
  close: "Close",
  save: "Save",
  copied: "Copied",
  tryAgain: "Try again",
  loading: "Loading…",
  you: "You",
  someone: "Someone",
  notesToSelf: "Notes to self",
  group: "Group",
  settings: "Settings",
  details: "Details",
  online: "online",
  away: "away",
  offline: "offline",
  typing: "typing…",
  isTyping: (name: string) => `${name} is typing…`,
  peopleTyping: (count: number) =>
    plural(count, { one: "# person is typing…", other: "# people are typing…" }),
  lastSeen: (when: string) => `last seen ${when}`,
  members: (count: number) => plural(count, { one: "# member", other: "# members" }),
  unread: (count: number) => plural(count, { one: "# unread", other: "# unread" }),
  muted: "muted",
  // What went wrong, and what to do.
  unreachable: "The server cannot be reached. Check your connection and try again.",
  signedOut: "You are signed out. Log in again.",
  rateLimited: (wait: string | undefined) =>
    wait === undefined
      ? "That was too often. Wait a little and try again."
      : `That was too often. Try again in ${wait}.`,
  unavailable: "The server cannot do this at the moment. Try again in a minute.",
  forbidden: "Your role in this group does not allow that.",
  notMember: "You are no longer in this conversation.",
  notFound: "That is not there any more.",
  handleTaken: "That handle belongs to somebody else. Choose another one.",
  groupFull: "The group is full: it takes no more members.",
  lastOwner: "You are the only owner. Make somebody else an owner first.",
  tooLong: "That text is too long for this server.",
  timeout: "The server took too long. Try again.",
  unexpected: "Something went wrong. Try again.",
};

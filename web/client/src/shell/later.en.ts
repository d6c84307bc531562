/** Texts of what is shown now and then: searches, the first steps, the quick switcher, the end: English. */
import { plurals } from "../lib/i18n/plural.js";

const plural = plurals("en");

export default {
  conversations: "Conversations",
  people: "People",
  nothingFound: (query: string) => `Nothing found for “${query}”.`,
  searchShort: "Type two letters or more to find people.",
  searching: "Searching…",
  found: (count: number) => plural(count, { one: "# result", other: "# results" }),
  handleHelp: "People are found by the start of their name or handle.",
  welcome: (name: string) => `Welcome, ${name}`,
  yourHandle: "Your handle is",
  copyHandle: "Copy handle",
  firstSteps: "There is nobody here yet to talk to. Two ways to change that:",
  inviteOthers: "Give others the address of this page. They create an account and find you by your handle.",
  tryAlone:
    "To try it alone, open this page in a private window, create a second account there, and start a chat.",
  copyAddress: "Copy address",
  switcherTitle: "Go to",
  switcherHint: "Type a name or handle",
  switcherEmpty: "Nobody and nothing by that name.",
  stoppedTitle: {
    signed_out: "You are signed out",
    revoked: "This device was signed out",
    too_many_connections: "Open in too many places",
    refused: "This page cannot go on",
  },
  stoppedText: {
    signed_out: "Your session has ended. Log in again to go on; unsent messages are kept on this device.",
    revoked:
      "Somebody signed this device out from another one, so its messages were removed from here. If that was not you, change your password.",
    too_many_connections:
      "You have this open in too many browsers at once. Close it elsewhere, then try again.",
    refused: "The server does not understand this version of the page. Reload it to get the current one.",
  },
  logInAgain: "Log in again",
  reload: "Reload",
};

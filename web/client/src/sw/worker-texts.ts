/**
 * What the service worker says by itself, in the languages of the page. It cannot load the page's catalogues, and
 * needs few words.
 */
import type { Texts } from "./notice.js";

const EN: Texts = {
  newMessage: "New message",
  mentioned: "You were mentioned",
  upToDate: "You have read everything",
  something: "There may be new messages",
};
const AR: Texts = {
  newMessage: "رسالة جديدة",
  mentioned: "ذُكر اسمك في رسالة",
  upToDate: "لقد قرأت كل شيء",
  something: "قد تكون هناك رسائل جديدة",
};

/** The texts of a language (`en`, `ar-EG`, …); English for one that is not there. */
export function textsOf(language: string): Texts {
  return language.toLowerCase().split("-")[0] === "ar" ? AR : EN;
}

/**
 * What to do with a push: pure, so that each rule can be tested.
 *
 * A browser that grants pushes demands that each one shows something. So a push that brings nothing new to show
 * still has to leave something on the screen, unless a window of ours is in the foreground, which Chromium and
 * Firefox accept instead; WebKit accepts nothing.
 */
import type { Notice } from "natterjack-sdk";

/** What is kept with a notification that is shown. */
export interface Shown {
  /** Also its tag. */
  conversation: string;
  seq: number;
}

/** What the world looks like when the push arrives. */
export interface Situation {
  /** The notifications that are shown. */
  shown: readonly Shown[];
  /** The conversations on screens of focused windows; `undefined` for a window that shows none. */
  focused: readonly (string | undefined)[];
  /** Whether the browser demands that each push shows a notification, whatever has the focus or is shown. */
  strict: boolean;
}

/** The words for what a payload does not say. */
export interface Texts {
  /** The body when previews leave the text out. */
  newMessage: string;
  /** Of a text that names the user. */
  mentioned: string;
  /** When there is nothing to tell but a notification is demanded. */
  upToDate: string;
  /** When the payload says nothing that is understood. */
  something: string;
}

/** A notification to show. */
export interface Card {
  title: string;
  body: string;
  tag: string;
  /** Absent for one that belongs to no conversation. */
  data?: Shown;
  timestamp?: number;
  renotify: boolean;
  silent: boolean;
  /** Take it away again at once: it is shown because it is demanded, and to nobody's use. */
  brief: boolean;
}

/** What to do. */
export interface Decision {
  show?: Card;
  /** Show the one with this tag once more, as it is and silently. */
  again?: string;
  /** Close what is shown with this tag. */
  close?: string;
  /** For the icon; absent: leave it. */
  badge?: number;
}

/** The tag of notifications that belong to no conversation: one takes the other's place. */
export const OTHER_TAG = "natterjack";

/** The payload of a push, or nothing if it is not one that this version understands. */
export function parse(payload: string | undefined): Notice | undefined {
  try {
    const value: unknown = JSON.parse(payload ?? "");
    if (typeof value !== "object" || value === null) return undefined;
    const notice = value as Partial<Record<string, unknown>>;
    if (typeof notice.conversation !== "string" || typeof notice.seq !== "number") return undefined;
    if (notice.type === "withdraw" || (notice.type === "message" && typeof notice.title === "string"))
      return value as Notice;
    return undefined;
  } catch {
    return undefined;
  }
}

/** What to do with a push. */
export function decide(notice: Notice | undefined, situation: Situation, texts: Texts): Decision {
  if (!notice) return nothingNew(situation, situation.shown, plain(texts.something));
  const badge = notice.badge;
  const shown = situation.shown.find((one) => one.conversation === notice.conversation);
  if (notice.type === "withdraw") {
    const close = shown && shown.seq <= notice.seq ? notice.conversation : undefined;
    const rest = situation.shown.filter((one) => one.conversation !== close);
    return {
      badge,
      ...(close && { close }),
      ...nothingNew(situation, rest, { ...plain(texts.upToDate), silent: true }),
    };
  }
  if (shown && shown.seq > notice.seq)
    return { badge, ...nothingNew(situation, [shown], plain(texts.upToDate)) };
  const onScreen = situation.focused.includes(notice.conversation);
  if (onScreen && !situation.strict) return { badge };
  const show: Card = {
    title: notice.title,
    body: notice.body ?? (notice.mention ? texts.mentioned : texts.newMessage),
    tag: notice.conversation,
    data: { conversation: notice.conversation, seq: notice.seq },
    timestamp: notice.sent_at,
    // The same push twice does not ring twice.
    renotify: shown?.seq !== notice.seq,
    silent: onScreen || shown?.seq === notice.seq,
    brief: onScreen,
  };
  // A notification that is silent cannot ring again: browsers refuse the two together.
  return { badge, show: { ...show, renotify: show.renotify && !show.silent } };
}

/** What to show where there is nothing new: what stands there counts, but the strict want to see it shown again. */
function nothingNew(situation: Situation, rest: readonly Shown[], word: Card): Decision {
  const there = rest.at(-1);
  if (situation.strict) return there ? { again: there.conversation } : { show: word };
  return there || situation.focused.length > 0 ? {} : { show: word };
}

function plain(body: string): Card {
  return { title: "Natterjack", body, tag: OTHER_TAG, renotify: false, silent: false, brief: false };
}

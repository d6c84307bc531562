/** Words of the thread: English. */
import { plurals } from "../lib/i18n/plural.js";

const plural = plurals("en");

export default {
  messages: "Messages",
  newMessages: "New messages",
  jumpToNewest: "Jump to newest",
  goToDate: "Go to date",
  date: "Date",
  go: "Go",
  empty: "No messages yet. Write the first one.",
  emptyNotes: "Notes to yourself: only you can see what you write here, on all your devices.",
  loadingOlder: "Loading older messages…",
  loadFailed: "Messages could not be loaded.",
  notThere: "That message is not there any more.",
  nothingSince: "There is nothing on or after that day.",

  waiting: "Waiting to be sent",
  stored: "Sent",
  delivered: "Delivered",
  read: "Read",
  failed: "Not sent",
  edited: "edited",
  deleted: "Message deleted",
  changing: { edit: "Edit waiting to be sent", delete: "Deletion waiting to be sent" },
  changeFailed: { edit: "The edit was not sent.", delete: "The message was not deleted." },
  discard: "Discard",
  showAll: "Show all",
  showLess: "Show less",
  characters: (count: string) => `${count} characters`,
  replyTo: (name: string) => `Reply to ${name}`,
  quoteLoading: "A message",
  goToQuoted: "Go to the message that this answers",

  actions: "Message actions",
  reply: "Reply",
  edit: "Edit",
  delete: "Delete",
  copy: "Copy text",
  copied: "Text copied",
  copyFailed: "The browser did not allow copying. Select the text and copy it yourself.",
  seenBy: (count: number) => plural(count, { one: "Seen by #", other: "Seen by #" }),
  seenTitle: "Seen by",
  deleteTitle: "Delete message?",
  deleteOwn: "Its text disappears for everybody in the conversation. This cannot be undone.",
  deleteOther: (name: string) =>
    `What ${name} wrote disappears for everybody in the group. This cannot be undone.`,

  message: "Message",
  placeholder: "Write a message",
  send: "Send",
  saveEdit: "Save edit",
  editing: "Edit message",
  charactersLeft: (count: number) => plural(count, { one: "# character left", other: "# characters left" }),
  charactersOver: (count: number) =>
    plural(count, {
      one: "# character too long: shorten it to send it",
      other: "# characters too long: shorten it to send it",
    }),
  notSent: (why: string) => `Not sent. ${why}`,
  notMember: "You are no longer in this group, so you cannot write here.",

  announce: (name: string, text: string) => `${name}: ${text}`,
  announceMany: (count: number) => plural(count, { one: "# new message", other: "# new messages" }),

  /** Oneself, to whom something was done. */
  whomYou: "you",
  created: (who: string, title: string) => `${who} created the group “${title}”`,
  renamed: (who: string, title: string) => `${who} named the group “${title}”`,
  added: (who: string, whom: string) => `${who} added ${whom}`,
  joined: (who: string) => `${who} joined`,
  removed: (who: string, whom: string) => `${who} removed ${whom}`,
  left: (who: string) => `${who} left`,
  role: (who: string, whom: string, role: string) => `${who} made ${whom} ${role}`,
  /** What one did oneself. */
  own: {
    created: (title: string) => `You created the group “${title}”`,
    renamed: (title: string) => `You named the group “${title}”`,
    added: (whom: string) => `You added ${whom}`,
    joined: "You joined",
    removed: (whom: string) => `You removed ${whom}`,
    left: "You left",
    role: (whom: string, role: string) => `You made ${whom} ${role}`,
  },
  roles: { member: "a member", admin: "an admin", owner: "an owner" },
};

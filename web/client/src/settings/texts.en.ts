/** The settings: English. */
import { plurals } from "../lib/i18n/plural.js";

const plural = plurals("en");

export default {
  sections: "Sections",
  saved: "Saved",

  profile: "Profile",
  yourName: "Your name",
  nameEmpty: "Write a name, so that others know who you are.",
  handle: "Handle",
  handleHint: "Others find you by it.",
  presence: "Who sees when you are online",
  presenceHint: "If you let nobody see it, you do not see it of others either.",
  everyone: "Everyone",
  contacts: "People you have a conversation with",
  nobody: "Nobody",

  notifications: "Notifications",
  push: "Push notifications",
  pushHint: "New messages reach this device even when Natterjack is closed.",
  pushStates: {
    on: "On. This device is told of new messages while you are not looking at Natterjack on any device.",
    off: "Off on this device.",
    denied:
      "This browser blocks notifications of this page. Allow them in the browser's settings for this site (often behind the sign to the left of the address), then come back.",
    insecure:
      "Browsers allow notifications only on pages with an encrypted connection. Open Natterjack by https, or on the machine it runs on.",
    "needs-install":
      "On an iPhone or iPad, put Natterjack on the home screen first: press Share, then “Add to Home Screen”, and open it from there.",
    unsupported:
      "This browser cannot receive notifications of pages. In a private window it may help to use an ordinary one.",
    "not-set-up": "The operator of this server has not set up notifications.",
  },
  preview: "What notifications show",
  previewHint: "On locked screens too. Your server may show less than you choose.",
  previewFull: "Sender and text",
  previewSender: "Sender only",
  previewNone: "Only that there is a message",
  tryNotification: "Show a test notification",
  testTitle: "Natterjack",
  testBody: "This is what a notification looks like.",
  testShown: "Shown. If you do not see it, look at the notification settings of your system.",

  devices: "Devices",
  devicesHint: "Where you are signed in. Sign out what you do not know or no longer use.",
  thisDevice: "This device",
  onlineNow: "Online now",
  lastSeen: (when: string) => `Last seen ${when}`,
  signedInSince: (when: string) => `Signed in ${when}`,
  hasPush: "Gets push notifications",
  platforms: { web: "Web", android: "Android", ios: "iOS", desktop: "Desktop", cli: "Terminal" } as Record<
    string,
    string
  >,
  signOutDevice: "Sign out this device",
  signOutDeviceOf: (name: string) => `Sign out this device: ${name}`,
  signOutOthers: "Sign out all other devices",
  confirmDevice: (name: string) => `Sign out “${name}”?`,
  confirmDeviceBody: "It is disconnected at once and needs your password to come back.",
  confirmOthers: (count: number) =>
    plural(count, { one: "Sign out # other device?", other: "Sign out # other devices?" }),
  confirmOthersBody: "They are disconnected at once. Only this device stays signed in.",
  signOut: "Sign out",

  appearance: "Appearance",
  theme: "Theme",
  themes: { system: "System", light: "Light", dark: "Dark" },
  language: "Language",

  about: "About",
  version: "Version",
  server: "Server",
  storage: "Kept on this device",
  storageHint:
    "Recent messages, so that they are there at once and without a network. Everything is on the server too.",
  storageUnknown: "This browser does not say how much.",
  clear: "Clear data on this device",
  clearTitle: "Clear data on this device?",
  clearBody: "Recent messages are fetched from the server again when you look at them. You stay signed in.",
  install: "Install Natterjack",
  installHint: "It then opens in a window of its own, like an app.",

  logOut: "Log out",
  logOutTitle: "Log out on this device?",
  logOutBody: "What this device keeps of your conversations is removed. Everything on the server stays.",
  unsent: (count: number) =>
    plural(count, {
      one: "# message has not been sent yet and will be lost.",
      other: "# messages have not been sent yet and will be lost.",
    }),
};

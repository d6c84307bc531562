/** The start of the page: the language, who is signed in, and then what there is to see. */
import { accounts, createClient, IndexedDbStore } from "natterjack-sdk";
import { mount } from "svelte";

import AppView from "./App.svelte";
import { App } from "./lib/app.svelte.js";
import { startLanguage } from "./lib/i18n/i18n.svelte.js";
import { router } from "./lib/router.svelte.js";
import { listenForShortcuts } from "./lib/shortcuts.js";
import { hearClicks } from "./sw/clicks.js";

const target = document.getElementById("app");
if (!target) throw new Error("index.html has no #app");

const server = location.origin;
const own = accounts({ server });
const app = new App(own, {
  make: (account) => {
    const tokens = own.tokens(account);
    return createClient({ server, tokens, account: account.user.id, name: `natterjack-web ${__VERSION__}` });
  },
  forget: (user) => new IndexedDbStore(user).destroy(),
});

router.listen();
// From the first moment: the click may be what brought this page to the front while it was loading.
hearClicks(navigator.serviceWorker as ServiceWorkerContainer | undefined, (conversation) =>
  router.go({ name: "thread", conversation }),
);
listenForShortcuts();
// Not awaited here: parts that are loaded on the way import from this very file, and would wait for its end.
void Promise.all([startLanguage(), app.start()]).then(() => mount(AppView, { target, props: { app } }));

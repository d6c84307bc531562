/** The start of the page: the language, who is signed in, and then what there is to see. */
import { accounts, createClient, IndexedDbStore } from "natterjack-sdk";
import { mount } from "svelte";

import AppView from "./App.svelte";
import { App } from "./lib/app.svelte.js";
import { startLanguage } from "./lib/i18n/i18n.svelte.js";
import { router } from "./lib/router.svelte.js";
import { listenForShortcuts } from "./lib/shortcuts.js";

const target = document.getElementById("app");
if (!target) throw new Error("index.html has no #app");

const server = location.origin;
const own = accounts({ server });
const app = new App(own, (account) => {
  const { id } = account.user;
  const tokens = own.tokens(account);
  const client = createClient({ server, tokens, account: id, name: `natterjack-web ${__VERSION__}` });
  return { client, forget: () => new IndexedDbStore(id).destroy() };
});

router.listen();
listenForShortcuts();
// Not awaited here: parts that are loaded on the way import from this very file, and would wait for its end.
void Promise.all([startLanguage(), app.start()]).then(() => mount(AppView, { target, props: { app } }));

/** The start of the page. */
import { mount } from "svelte";

import App from "./App.svelte";
import { startLanguage } from "./lib/i18n/i18n.svelte.js";
import { router } from "./lib/router.svelte.js";
import { listenForShortcuts } from "./lib/shortcuts.js";

const target = document.getElementById("app");
if (!target) throw new Error("index.html has no #app");
router.listen();
listenForShortcuts();
await startLanguage();
mount(App, { target });

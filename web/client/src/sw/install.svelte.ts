/**
 * Installing the page as an application, where the browser proposes it.
 */

/** Chromium's event; no other browser has it, and they install from their own menus. */
interface InstallProposal extends Event {
  prompt(): Promise<{ outcome: "accepted" | "dismissed" }>;
}

let proposal = $state.raw<InstallProposal>();

/** Listens for the browser's proposal, which comes once and early; the settings make use of it. */
export function listenForProposal(): void {
  addEventListener("beforeinstallprompt", (event) => {
    // No banner of the browser's own: there is a button in the settings.
    event.preventDefault();
    proposal = event as InstallProposal;
  });
  addEventListener("appinstalled", () => (proposal = undefined));
}

/** Whether {@link install} would ask. Reactive. */
export function canInstall(): boolean {
  return proposal !== undefined;
}

/** Asks the person whether to install it. Call it from a click. */
export async function install(): Promise<void> {
  const asked = proposal;
  // It can be used once.
  proposal = undefined;
  await asked?.prompt();
}

/**
 * A notification to try: whether the system shows what the page may show.
 */

/** Shows it, in the place of the one before. False where there is no worker to show it. */
export async function showTest(title: string, body: string): Promise<boolean> {
  const registration = await navigator.serviceWorker.getRegistration();
  if (!registration) return false;
  const options: NotificationOptions & { renotify: boolean } = {
    body,
    tag: "natterjack-test",
    renotify: true,
    icon: "/icons/icon-192.png",
    badge: "/icons/badge-96.png",
    dir: "auto",
  };
  await registration.showNotification(title, options);
  return true;
}

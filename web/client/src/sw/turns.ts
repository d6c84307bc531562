/** How long one waits for the others; a page that was frozen in the middle keeps nobody for ever. */
const WAIT_MS = 5_000;

/**
 * Whoever shows notifications or asks for them takes turns, in all windows and the worker: what one push shows decides
 * what the next one does, and Chromium forgets a notification for which it is asked (`getNotifications`) while it puts
 * it on the screen. (`DoReadAllNotificationDataForServiceWorkerRegistration` in Chromium's
 * `platform_notification_context_impl.cc` removes what is written and not yet displayed.)
 *
 * @throws What the work throws.
 */
export async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  if (!("locks" in navigator)) return work();
  let begun = false;
  const begin = () => {
    begun = true;
    return work();
  };
  try {
    return await navigator.locks.request("notifications", { signal: AbortSignal.timeout(WAIT_MS) }, begin);
  } catch (error) {
    if (begun) throw error;
    return work();
  }
}

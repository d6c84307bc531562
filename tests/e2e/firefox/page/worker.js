// What docs/protocol.md asks of a web client: a notice is shown under its conversation, so that a later one
// takes its place.
self.addEventListener("push", (event) => {
  const notice = event.data.json();
  event.waitUntil(
    self.registration.showNotification(notice.title, {
      body: notice.body ?? "",
      tag: notice.conversation,
      renotify: true,
      requireInteraction: true,
      data: notice,
    }),
  );
});

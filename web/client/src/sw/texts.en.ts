/** What the page says about its own updates and pushes: English. */
export default {
  updateReady: "A new version is ready.",
  reload: "Reload",
  later: "Later",
  proposal: "Hear of new messages when this page is closed?",
  turnOn: "Turn on notifications",
  notNow: "Not now",
  pushServiceAway: "Your browser could not reach its push service. Try again later.",
};

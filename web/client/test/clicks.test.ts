import { expect, it, vi } from "vitest";

import { hearClicks } from "../src/sw/clicks.js";

it("a click on a notification opens its conversation, and other messages do not", () => {
  const container = new EventTarget();
  const open = vi.fn();
  hearClicks(container as ServiceWorkerContainer, open);
  const say = (data: unknown) => container.dispatchEvent(new MessageEvent("message", { data }));
  say({ type: "what-is-shown" });
  expect(open).not.toHaveBeenCalled();
  say({ type: "open", conversation: "group.x" });
  expect(open.mock.calls).toEqual([["group.x"]]);
});

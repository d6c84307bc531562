import { describe, expect, it } from "vitest";

import { decide, OTHER_TAG, parse, type Situation } from "../src/sw/notice.js";
import { textsOf } from "../src/sw/worker-texts.js";
import mention from "../../../nats/golden/push.mention.json" with { type: "json" };
import message from "../../../nats/golden/push.message.json" with { type: "json" };
import withdraw from "../../../nats/golden/push.withdraw.json" with { type: "json" };

const texts = textsOf("en");
const nobody: Situation = { shown: [], focused: [], strict: false };
const dm = message.conversation;
const decided = (notice: unknown, situation: Partial<Situation> = {}) =>
  decide(parse(JSON.stringify(notice)), { ...nobody, ...situation }, texts);

describe("a message", () => {
  it("is shown with its conversation as the tag", () => {
    expect(decided(message)).toEqual({
      badge: 3,
      show: {
        title: "Ada",
        body: "Shall we meet at eight? 🦎",
        tag: dm,
        data: { conversation: dm, seq: 1042 },
        timestamp: 1732233600000,
        renotify: true,
        silent: false,
        brief: false,
      },
    });
  });

  it("without a body says what it is, in the language of the page", () => {
    expect(decided(mention).show?.body).toBe("You were mentioned");
    const { body, ...bare } = message;
    expect(body).toBeDefined();
    expect(decided(bare).show?.body).toBe("New message");
    expect(decide(parse(JSON.stringify(bare)), nobody, textsOf("ar-EG")).show?.body).toBe("رسالة جديدة");
  });

  it("takes the place of an earlier one and rings again", () => {
    const show = decided(message, { shown: [{ conversation: dm, seq: 1041 }] }).show;
    expect(show).toMatchObject({ tag: dm, renotify: true, silent: false });
  });

  it("leaves a later one, and sets the badge all the same", () => {
    expect(decided(message, { shown: [{ conversation: dm, seq: 1043 }] })).toEqual({ badge: 3 });
  });

  it("that is older shows the later one again where the browser counts what each push shows", () => {
    const there = { shown: [{ conversation: dm, seq: 1043 }], strict: true };
    expect(decided(message, there)).toEqual({ badge: 3, again: dm });
  });

  it("that comes twice does not ring twice", () => {
    const show = decided(message, { shown: [{ conversation: dm, seq: 1042 }] }).show;
    expect(show).toMatchObject({ renotify: false, silent: true });
  });

  it("of the conversation in front is not shown, unless the browser insists", () => {
    expect(decided(message, { focused: [dm] })).toEqual({ badge: 3 });
    const show = decided(message, { focused: [dm], strict: true }).show;
    expect(show).toMatchObject({ silent: true, renotify: false, brief: true });
  });

  it("of another conversation than the one in front is shown", () => {
    expect(decided(message, { focused: ["group.x", undefined] }).show?.tag).toBe(dm);
  });
});

describe("a withdrawal", () => {
  it("closes what is not newer", () => {
    const rest = { conversation: "group.x", seq: 1 };
    expect(decided(withdraw, { shown: [{ conversation: dm, seq: 1042 }, rest] })).toEqual({
      badge: 0,
      close: dm,
    });
    expect(decided(withdraw, { shown: [{ conversation: dm, seq: 1043 }] })).toEqual({ badge: 0 });
  });

  it("that empties the screen leaves a quiet word, since browsers demand one", () => {
    const decision = decided(withdraw, { shown: [{ conversation: dm, seq: 1042 }] });
    expect(decision).toMatchObject({ close: dm, show: { tag: OTHER_TAG, silent: true } });
    const inFront = { shown: [{ conversation: dm, seq: 1042 }], focused: [undefined] };
    expect(decided(withdraw, inFront).show).toBeUndefined();
    expect(decided(withdraw, { ...inFront, strict: true }).show?.tag).toBe(OTHER_TAG);
  });
});

describe("where the browser counts what each push shows", () => {
  const rest = { conversation: "group.x", seq: 1 };

  it("a withdrawal shows again what stays", () => {
    const both = { shown: [rest, { conversation: dm, seq: 1042 }], strict: true };
    expect(decided(withdraw, both)).toEqual({ badge: 0, close: dm, again: "group.x" });
    const newer = { shown: [{ conversation: dm, seq: 1043 }], strict: true };
    expect(decided(withdraw, newer)).toEqual({ badge: 0, again: dm });
  });

  it("so does a push that is not understood", () => {
    expect(decided("?", { shown: [rest], strict: true })).toEqual({ again: "group.x" });
    expect(decided("?", { shown: [rest] })).toEqual({});
  });
});

describe("a push that is not understood", () => {
  it("still shows something", () => {
    for (const payload of [undefined, "", "{", "null", "{}", '{"type":"newer","conversation":"c","seq":1}']) {
      const show = decide(parse(payload), nobody, texts).show;
      expect(show).toMatchObject({ tag: OTHER_TAG, body: texts.something });
    }
  });
});

/** Times in words, in a zone with summer time. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { ago, clockTime, dayName, daysBetween, duration, shortTime } from "../../src/lib/time.js";

const zone = process.env["TZ"];
beforeAll(() => {
  process.env["TZ"] = "Europe/Berlin";
});
afterAll(() => {
  if (zone === undefined) delete process.env["TZ"];
  else process.env["TZ"] = zone;
});

const at = (text: string) => new Date(text).getTime();
/** A Wednesday. */
const now = () => at("2025-03-19T14:05:00");

describe("days", () => {
  it("are counted by the calendar, also where one has 23 hours", () => {
    expect(daysBetween(at("2025-03-19T23:59:00"), at("2025-03-20T00:01:00"))).toBe(1);
    expect(daysBetween(at("2025-03-29T12:00:00"), at("2025-03-30T12:00:00"))).toBe(1);
    expect(daysBetween(at("2025-10-25T12:00:00"), at("2025-10-27T00:30:00"))).toBe(2);
  });

  it.each([
    ["2025-03-19T01:00:00", "Today"],
    ["2025-03-18T23:00:00", "Yesterday"],
    ["2025-03-14T12:00:00", "Friday"],
    ["2025-03-12T12:00:00", "12 March"],
    ["2024-12-24T12:00:00", "24 December 2024"],
    ["2025-03-20T12:00:00", "20 March"],
  ])("%s is called %s", (day, name) => {
    expect(dayName("en-GB", at(day), now())).toBe(name);
  });
});

describe("the list's times", () => {
  it.each([
    ["2025-03-19T09:30:00", "09:30"],
    ["2025-03-18T09:30:00", "Tue"],
    ["2025-03-01T09:30:00", "1 Mar"],
    ["2024-12-24T09:30:00", "24/12/2024"],
  ])("%s is %s", (time, text) => {
    expect(shortTime("en-GB", at(time), now())).toBe(text);
  });

  it("follow the locale", () => {
    expect(clockTime("en-US", at("2025-03-19T14:05:00"))).toMatch(/^2:05\sPM$/u);
    expect(dayName("ar", at("2025-03-19T01:00:00"), now())).toBe("اليوم");
  });
});

describe("how long ago", () => {
  it.each([
    ["2025-03-19T14:04:30", "now"],
    ["2025-03-19T14:00:00", "5 minutes ago"],
    ["2025-03-19T11:00:00", "3 hours ago"],
    ["2025-03-18T11:00:00", "yesterday"],
    ["2025-03-12T11:00:00", "7 days ago"],
    ["2024-03-12T11:00:00", "12 Mar 2024"],
  ])("%s is %s", (time, text) => {
    expect(ago("en-GB", at(time), now())).toBe(text);
  });

  it("a clock that runs ahead is now", () => {
    expect(ago("en-GB", now() + 60_000, now())).toBe("now");
  });
});

it("waits are rounded up", () => {
  expect(duration("en-GB", 20)).toBe("1 second");
  expect(duration("en-GB", 20_100)).toBe("21 seconds");
  expect(duration("en-GB", 91_000)).toBe("2 minutes");
});

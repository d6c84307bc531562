/**
 * Times in words, by `Intl` in the chosen language. All take Unix milliseconds.
 *
 * @module
 */
const DAY = 86_400_000;

const formats = new Map<string, Intl.DateTimeFormat>();
function format(locale: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = locale + JSON.stringify(options);
  let found = formats.get(key);
  if (!found) formats.set(key, (found = new Intl.DateTimeFormat(locale, options)));
  return found;
}

/** Midnight, local time, of the day of a time. */
export function dayOf(at: number): number {
  return new Date(at).setHours(0, 0, 0, 0);
}

/** Whole days from one time to another; a day of 23 or 25 hours counts as one. */
export function daysBetween(earlier: number, later: number): number {
  return Math.round((dayOf(later) - dayOf(earlier)) / DAY);
}

/** The time of day: "14:05" or "2:05 PM". */
export function clockTime(locale: string, at: number): string {
  return format(locale, { timeStyle: "short" }).format(at);
}

/** As short as a list allows: the time today, the weekday in the last week, else the date. */
export function shortTime(locale: string, at: number, now: number): string {
  const days = daysBetween(at, now);
  if (days <= 0) return clockTime(locale, at);
  if (days < 7) return format(locale, { weekday: "short" }).format(at);
  if (new Date(at).getFullYear() === new Date(now).getFullYear()) {
    return format(locale, { day: "numeric", month: "short" }).format(at);
  }
  return format(locale, { dateStyle: "short" }).format(at);
}

/** A day as a separator names it: "Today", "Yesterday", "Monday", "3 March", "3 March 2024". */
export function dayName(locale: string, at: number, now: number): string {
  const days = daysBetween(at, now);
  if (days === 0 || days === 1) {
    const words = new Intl.RelativeTimeFormat(locale, { numeric: "auto" }).format(-days, "day");
    return words.charAt(0).toLocaleUpperCase(locale) + words.slice(1);
  }
  if (days > 1 && days < 7) return format(locale, { weekday: "long" }).format(at);
  const sameYear = new Date(at).getFullYear() === new Date(now).getFullYear();
  return format(locale, { day: "numeric", month: "long", ...(sameYear ? {} : { year: "numeric" }) }).format(
    at,
  );
}

/** Everything: "Monday, 3 March 2025 at 14:05". For labels and tooltips. */
export function fullTime(locale: string, at: number): string {
  return format(locale, { dateStyle: "full", timeStyle: "short" }).format(at);
}

/** How long ago: "5 minutes ago", "yesterday". Below a minute it is "now". */
export function ago(locale: string, at: number, now: number): string {
  const relative = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
  const minutes = Math.max(0, Math.floor((now - at) / 60_000));
  if (minutes < 1) return relative.format(0, "second");
  if (minutes < 60) return relative.format(-minutes, "minute");
  const days = daysBetween(at, now);
  if (days === 0) return relative.format(-Math.floor(minutes / 60), "hour");
  if (days < 30) return relative.format(-days, "day");
  return format(locale, { dateStyle: "medium" }).format(at);
}

/** A length of time to wait, rounded up: "20 seconds", "3 minutes". */
export function duration(locale: string, ms: number): string {
  const seconds = Math.max(1, Math.ceil(ms / 1000));
  const [value, unit] = seconds < 90 ? [seconds, "second"] : [Math.ceil(seconds / 60), "minute"];
  return new Intl.NumberFormat(locale, { style: "unit", unit, unitDisplay: "long" }).format(value);
}

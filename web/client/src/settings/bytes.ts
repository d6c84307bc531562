/**
 * Amounts of storage in words.
 */

const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte"] as const;

/** "3.2 MB" in the words of a language. */
export function bytesInWords(locale: string, bytes: number): string {
  const power = Math.min(UNITS.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, bytes)) / 3)));
  return new Intl.NumberFormat(locale, {
    style: "unit",
    unit: UNITS[power] ?? "byte",
    unitDisplay: "short",
    maximumFractionDigits: power > 1 ? 1 : 0,
  }).format(bytes / 1000 ** power);
}

// Writes numbers with their units, and times, the same way everywhere.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const NONE = "–";

const isNone = (value) => value === null || value === undefined || Number.isNaN(Number(value));

export const int = (value) => (isNone(value) ? NONE : whole.format(value));

export function rate(value) {
  if (isNone(value)) return NONE;
  return value >= 100 ? whole.format(value) : Number(value).toFixed(value >= 10 ? 1 : 2);
}

/** Milliseconds, as a number and its unit. */
export function msParts(value) {
  if (isNone(value)) return [NONE, ""];
  if (value === 0) return ["0", "ms"];
  if (value < 1) return [(value * 1000).toFixed(0), "µs"];
  if (value < 1000) return [value < 10 ? value.toFixed(1) : value.toFixed(0), "ms"];
  if (value < 60_000) return [(value / 1000).toFixed(value < 10_000 ? 2 : 1), "s"];
  return [(value / 60_000).toFixed(1), "min"];
}

export const ms = (value) => msParts(value).join(" ").trim();

/** US dollars with as many digits as a small amount needs. */
export function usd(value) {
  if (isNone(value)) return NONE;
  const amount = Number(value);
  if (amount === 0) return "$0";
  // Three digits that count, and never less than cents.
  const digits = Math.abs(amount) >= 1 ? 2 : Math.min(9, Math.max(2, 2 - Math.floor(Math.log10(Math.abs(amount)))));
  return `$${amount.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: digits })}`;
}

export function short(value) {
  if (isNone(value)) return NONE;
  for (const [limit, unit] of [[1e9, "G"], [1e6, "M"], [1e4, "k"]]) {
    if (value >= limit) return `${(value / (unit === "k" ? 1e3 : limit)).toFixed(1)} ${unit}`;
  }
  return whole.format(value);
}

export function bytes(value) {
  if (isNone(value)) return NONE;
  for (const [limit, unit] of [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]]) {
    if (value >= limit) return `${(value / limit).toFixed(1)} ${unit}`;
  }
  return `${whole.format(value)} B`;
}

export function percent(share, digits = 1) {
  return isNone(share) ? NONE : `${(share * 100).toFixed(digits)} %`;
}

/** Seconds as people say them. */
export function duration(seconds) {
  if (isNone(seconds)) return NONE;
  const s = Math.max(0, Math.round(seconds));
  if (s < 90) return `${s} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  if (s < 172_800) return `${Math.floor(s / 3600)} h ${Math.round((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86_400)} d ${Math.round((s % 86_400) / 3600)} h`;
}

export const clock = (ms) => new Date(ms).toLocaleTimeString("en-GB");

export function stamp(text) {
  const date = new Date(text);
  const isToday = date.toDateString() === new Date().toDateString();
  return isToday ? clock(date) : `${date.toLocaleDateString("en-CA")} ${clock(date)}`;
}

export const words = (name) => String(name).replaceAll("_", " ");

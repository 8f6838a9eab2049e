// Numbers and instants in words.

const NARROW = "\u202f";
const figures = new Map();

function figure(digits) {
  if (!figures.has(digits)) {
    figures.set(digits, new Intl.NumberFormat("en", { minimumFractionDigits: 0, maximumFractionDigits: digits }));
  }
  return figures.get(digits);
}

/** A number with as many digits as say something. */
export function number(value) {
  const size = Math.abs(value);
  return figure(size >= 100 ? 0 : size >= 10 ? 1 : 2).format(value === 0 ? 0 : value);
}

export const kw = (value) => (value === null || value === undefined ? "–" : `${number(value)}${NARROW}kW`);
export const kwh = (value) => (value === null || value === undefined ? "–" : `${number(value)}${NARROW}kWh`);
export const signed = (value, unit) => `${value > 0 ? "+" : value < 0 ? "−" : "±"}${number(Math.abs(value))}${NARROW}${unit}`;
export const money = (value, currency) =>
  `${new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 }).format(value)}${NARROW}${currency}`;
export const price = (value) => new Intl.NumberFormat("en", { maximumFractionDigits: 4 }).format(value);
export const plural = (count, one, many = `${one}s`) => `${figure(0).format(count)} ${count === 1 ? one : many}`;

const formats = new Map();

function format(zone, options) {
  const key = zone + JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat("en-GB", { timeZone: zone, ...options }));
  return formats.get(key);
}

const CLOCK = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const DAY = { weekday: "short", day: "numeric", month: "short" };

/** Wall clock of a zone, for an instant in s. */
export const clock = (seconds, zone) => format(zone, CLOCK).format(seconds * 1000);
export const exactClock = (seconds, zone) => format(zone, { ...CLOCK, second: "2-digit" }).format(seconds * 1000);
export const day = (seconds, zone) => format(zone, DAY).format(seconds * 1000);

/** Clock, with the day where it is not that of another instant. */
export function when(seconds, zone, reference) {
  const same = day(seconds, zone) === day(reference, zone);
  return same ? clock(seconds, zone) : `${day(seconds, zone)} ${clock(seconds, zone)}`;
}

export const span = (from, to, zone, reference) => `${when(from, zone, reference)}–${when(to, zone, from)}`;

/** How long something takes or took. */
export function duration(seconds) {
  const size = Math.max(0, Math.round(seconds));
  if (size < 60) return `${size}${NARROW}s`;
  if (size < 3600) return `${Math.round(size / 60)}${NARROW}min`;
  const hours = Math.floor(size / 3600);
  const minutes = Math.round((size % 3600) / 60);
  if (size < 36 * 3600) return minutes ? `${hours}${NARROW}h ${minutes}${NARROW}min` : `${hours}${NARROW}h`;
  return `${Math.round(size / 86400)}${NARROW}d`;
}

export const ago = (seconds, now) => (now - seconds < 2 ? "just now" : `${duration(now - seconds)} ago`);

/** Seconds by which a zone is ahead of UTC at an instant. */
export function offset(seconds, zone) {
  const parts = format(zone, { ...CLOCK, second: "2-digit", year: "numeric", month: "2-digit", day: "2-digit" })
    .formatToParts(seconds * 1000);
  const at = Object.fromEntries(parts.map(({ type, value }) => [type, Number(value)]));
  return Date.UTC(at.year, at.month - 1, at.day, at.hour, at.minute, at.second) / 1000 - Math.floor(seconds);
}

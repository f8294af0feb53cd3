// Numbers, times and sizes as the interface writes them; all take null and undefined and answer with a dash.

const DASH = "–";
const THIN = "\u202f";
const missing = (value) => value === null || value === undefined || Number.isNaN(value);

// 12 345 with thin spaces.
export const count = (value) => (missing(value) ? DASH : Math.round(value).toString().replace(/\B(?=(\d{3})+(?!\d))/g, THIN));

// Four significant digits, never 1.000000001 and never 5.0000e-7.
export function number(value, digits = 4) {
  if (missing(value)) return DASH;
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e6) return value.toExponential(2).replace("e+", "e").replace("-", "−").replace("e-", "e−");
  return (Number.isInteger(value) ? count(value) : String(Number(value.toPrecision(digits)))).replace("-", "−");
}

export const percent = (share, digits = 0) => (missing(share) ? DASH : `${(share * 100).toFixed(digits)}${THIN}%`);

// "61 % (52–69 %, n = 120)": a rate never stands alone.
export function rate({ rate: value, low, high, n }) {
  if (missing(value)) return `no matches yet (n = ${count(n || 0)})`;
  const range = missing(low) ? "" : `${(low * 100).toFixed(0)}–${(high * 100).toFixed(0)}${THIN}%, `;
  return `${percent(value)} (${range}n = ${count(n)})`;
}

export function bytes(value) {
  if (missing(value)) return DASH;
  const units = ["B", "kB", "MB", "GB", "TB"];
  const power = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, value)) / 3)));
  return `${number(value / 1000 ** power, 3)}${THIN}${units[power]}`;
}

// 42 s · 3 min 5 s · 2 h 10 min · 4 d 3 h
export function duration(seconds) {
  if (missing(seconds)) return DASH;
  const whole = Math.max(0, Math.round(seconds));
  const [days, hours, minutes, rest] = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60, whole % 60];
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  if (minutes) return `${minutes} min ${rest} s`;
  return `${whole} s`;
}

// What is only estimated: whole minutes from one on, tens of minutes from an hour on, hours from a day on.
export function roughly(seconds) {
  const step = seconds < 60 ? 1 : seconds < 3600 ? 60 : seconds < 86400 ? 600 : 3600;
  return duration(Math.round(seconds / step) * step).replace(/ 0 (s|min|h)$/, "");
}

// "5 min ago" as a <time> with the exact moment on hover.
export function ago(moment) {
  const element = document.createElement("time");
  if (!moment) {
    element.textContent = DASH;
    return element;
  }
  const then = new Date(moment);
  element.dateTime = then.toISOString();
  element.title = then.toLocaleString();
  element.textContent = relative(then);
  return element;
}

function relative(then) {
  const seconds = (Date.now() - then.getTime()) / 1000;
  if (seconds < 45) return "just now";
  const steps = [[60, "min", 60], [24, "h", 3600], [14, "d", 86400]];
  for (const [limit, unit, size] of steps) {
    const amount = Math.round(seconds / size);
    if (amount < limit) return `${Math.max(1, amount)} ${unit} ago`;
  }
  return then.toLocaleDateString(undefined, { year: "numeric", month: "short", day: "numeric" });
}

export const plural = (amount, one, many = `${one}s`) => `${count(amount)} ${amount === 1 ? one : many}`;

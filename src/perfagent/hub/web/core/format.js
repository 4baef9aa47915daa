/** Figures and times as the whole page writes them: three significant digits, one unit, a no-break space between. */

export const NONE = '–';
const SPACE = '\u00a0';
const LOCALE = undefined; // the browser's

const absent = (value) => value === null || value === undefined || Number.isNaN(value);

/** Three significant digits of a positive number below 1000. */
function digits(value) {
  const size = Math.abs(value);
  return value.toFixed(size >= 99.95 || size === 0 ? 0 : size >= 9.995 ? 1 : 2);
}

function scaled(value, step, units) {
  let index = 0;
  while (Math.abs(value) >= step * 0.9995 && index < units.length - 1) {
    value /= step;
    index += 1;
  }
  return `${digits(value)}${SPACE}${units[index]}`;
}

/** A duration in ms: 840 µs, 12.3 ms, 1.25 s, 2 m 05 s, 3 h 10 m, 4 d 2 h. */
export function duration(ms) {
  if (absent(ms)) return NONE;
  if (ms === 0) return `0${SPACE}ms`;
  if (Math.abs(ms) < 0.9995) return ms < 0.001 ? `<1${SPACE}µs` : `${digits(ms * 1000)}${SPACE}µs`;
  if (Math.abs(ms) < 59_995) return scaled(ms, 1000, ['ms', 's']);
  const seconds = Math.round(ms / 1000);
  const [d, hours, minutes] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24,
    Math.floor(seconds / 60) % 60];
  if (d) return `${d}${SPACE}d${SPACE}${hours}${SPACE}h`;
  if (hours) return `${hours}${SPACE}h${SPACE}${String(minutes).padStart(2, '0')}${SPACE}m`;
  return `${minutes}${SPACE}m${SPACE}${String(seconds % 60).padStart(2, '0')}${SPACE}s`;
}

/** A number of things: in full below 10,000, then 12.3 k, 4.56 M. */
export function count(value) {
  if (absent(value)) return NONE;
  if (Math.abs(value) < 9999.5) return whole(value);
  return scaled(value / 1000, 1000, ['k', 'M', 'G', 'T']);
}

/** The same in full, with the locale's separators. */
export function whole(value) {
  return absent(value) ? NONE : Math.round(value).toLocaleString(LOCALE);
}

/** A mean number of things: 7.5, 48. */
export function mean(value) {
  if (absent(value)) return NONE;
  return Number.isInteger(value) || Math.abs(value) >= 1000 ? count(value) : digits(value);
}

/** A rate a second. */
export function rate(value) {
  if (absent(value)) return NONE;
  if (value === 0) return '0/s';
  return value < 0.01 ? '<0.01/s' : Math.abs(value) < 999.5 ? `${digits(value)}/s`
    : `${scaled(value / 1000, 1000, ['k', 'M'])}/s`;
}

/** A ratio of 0..1 in percent, with more digits where little matters. */
export function percent(ratio) {
  if (absent(ratio)) return NONE;
  const value = ratio * 100;
  const size = Math.abs(value);
  const text = size === 0 ? '0' : size < 0.01 ? '<0.01'
    : value.toFixed(size < 0.995 ? 2 : size < 9.95 || (size > 99 && size < 99.95) ? 1 : 0);
  return `${text}${SPACE}%`;
}

/** Bytes in decimal units: 512 B, 184 MB. */
export function bytes(value) {
  return absent(value) ? NONE : scaled(value, 1000, ['B', 'kB', 'MB', 'GB', 'TB']);
}

/** A plain number of any size. */
export function number(value) {
  if (absent(value)) return NONE;
  const size = Math.abs(value);
  if (size !== 0 && size < 0.01) return value.toPrecision(2);
  return Number.isInteger(value) && size < 1e6 ? whole(value) : size < 1000 ? digits(value) : count(value);
}

/** A value in a unit of the metrics' (UCUM): s, ms, By, %, 1, {request}. */
export function quantity(value, unit = '') {
  if (absent(value)) return NONE;
  if (unit === 's/s') return percent(value); // seconds a second, such as of CPU time
  const [base, per] = unit.split('/');
  const every = per ? `/${per}` : '';
  if (base === 's') return duration(value * 1000) + every;
  if (base === 'ms') return duration(value) + every;
  if (base === 'us' || base === 'µs') return duration(value / 1000) + every;
  if (base === 'ns') return duration(value / 1e6) + every;
  if (base === 'By') return bytes(value) + every;
  if (base === 'MB') return bytes(value * 1e6) + every;
  if (base === '%') return percent(value / 100);
  if (base === 'ratio') return percent(value);
  if (base === '' || base === '1' || base.startsWith('{')) return number(value) + every;
  return `${number(value)}${SPACE}${unit}`;
}

/** How much `after` is above `before`: {text: '+12 %', ratio}; null where there is nothing to compare. */
export function change(before, after) {
  if (absent(before) || absent(after) || before === 0) return null;
  const ratio = after / before - 1;
  if (Math.abs(ratio) < 0.005) return { ratio: 0, text: 'unchanged' };
  const text = ratio >= 9.995 ? `×${digits(after / before)}`
    : `${ratio > 0 ? '+' : '−'}${Math.abs(ratio * 100).toFixed(0)}${SPACE}%`;
  return { ratio, text };
}

const times = (options) => new Intl.DateTimeFormat(LOCALE, options);
const MINUTES = times({ hour: '2-digit', minute: '2-digit' });
const WITH_SECONDS = times({ hour: '2-digit', minute: '2-digit', second: '2-digit' });
const WITH_THOUSANDTHS = times({ hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3 });
const DAY = times({ month: 'short', day: 'numeric' });
const FULL = times({ year: 'numeric', month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit',
    second: '2-digit', fractionalSecondDigits: 3, timeZoneName: 'short' });
const written = (format, seconds) => (absent(seconds) ? NONE : format.format(seconds * 1000));

/** 14:05, or 14:05:31 where seconds matter. */
export const clock = (seconds, precise = false) => written(precise ? WITH_SECONDS : MINUTES, seconds);
/** 14:05:31.250 */
export const instant = (seconds) => written(WITH_THOUSANDTHS, seconds);
/** 3 Mar */
export const day = (seconds) => written(DAY, seconds);
/** Date, time to the thousandth and zone. */
export const full = (seconds) => written(FULL, seconds);
/** The time alone today, with the date before it otherwise. */
export const when = (seconds) => (absent(seconds) ? NONE : day(seconds) === day(Date.now() / 1000)
  ? clock(seconds, true) : `${day(seconds)} ${clock(seconds, true)}`);

/** 12 s ago, 3 m ago, 5 h ago, 2 d ago. */
export function ago(seconds, now = Date.now() / 1000) {
  if (absent(seconds)) return NONE;
  const past = Math.max(0, now - seconds);
  const [value, unit] = past < 60 ? [past, 's'] : past < 3600 ? [past / 60, 'm'] : past < 86400 ? [past / 3600, 'h']
    : [past / 86400, 'd'];
  return past < 2 ? 'now' : `${Math.floor(value)}${SPACE}${unit} ago`;
}

/** The time range of the address: `from` and `to`, relative (`-1h`, `now`) or in seconds since the epoch. */

import { clock, day } from './format.js';
import { route, setQuery } from './route.js';

export const PRESETS = [
  ['-15m', 'Last 15 minutes', '15 m'],
  ['-1h', 'Last hour', '1 h'],
  ['-6h', 'Last 6 hours', '6 h'],
  ['-24h', 'Last 24 hours', '24 h'],
];
const FIRST = '-1h';
const SECONDS = { s: 1, m: 60, h: 3600, d: 86400, w: 604800 };

/** Seconds since the epoch for `now`, `-15m` or a number; NaN for anything else. */
export function moment(text, now = Date.now() / 1000) {
  if (text === 'now') return now;
  const relative = /^-(\d+(?:\.\d+)?)([smhdw])$/.exec(text);
  return relative ? now - relative[1] * SECONDS[relative[2]] : text === '' ? NaN : Number(text);
}

/** {from, to, seconds, relative, label} of the address; nonsense in it counts as the last hour. */
export function range(query = route.value.query) {
  let from = query.get('from') || FIRST;
  let to = query.get('to') || 'now';
  if (!(moment(from) < moment(to))) [from, to] = [FIRST, 'now'];
  const begin = moment(from);
  const end = moment(to);
  return { from, to, begin, end, seconds: end - begin, relative: to === 'now' && from.startsWith('-'),
    label: label(from, to) };
}

function label(from, to) {
  const preset = to === 'now' && PRESETS.find(([value]) => value === from);
  if (preset) return preset[1];
  if (to === 'now' && from.startsWith('-')) return `Last ${from.slice(1, -1)} ${{ s: 'seconds', m: 'minutes',
        h: 'hours', d: 'days', w: 'weeks' }[from.at(-1)]}`;
  const [begin, end] = [moment(from), moment(to)];
  const close = end - begin < 600;
  const dated = day(begin) === day(end) && day(end) === day(Date.now() / 1000) ? '' : `${day(begin)} `;
  return `${dated}${clock(begin, close)} – ${day(begin) === day(end) ? '' : `${day(end)} `}${to === 'now' ? 'now'
      : clock(end, close)}`;
}

/** Shows another range; Back leads to the one before. */
export function setRange(from, to = 'now') {
  const plain = (value) => (typeof value === 'number' ? String(Math.round(value * 1000) / 1000) : value);
  setQuery({ from: from === FIRST && to === 'now' ? null : plain(from), to: to === 'now' ? null : plain(to),
      cursor: null }, true);
}

/** Moves the range by its own width, times `steps`; one that would end in the future ends now. */
export function shift(steps) {
  const { begin, end, seconds } = range();
  const now = Date.now() / 1000;
  const late = Math.max(0, end + steps * seconds - now);
  setRange(begin + steps * seconds - late, end + steps * seconds - late);
}

/** Widens the range to twice its width around its middle. */
export function widen() {
  const { begin, end, seconds } = range();
  const now = Date.now() / 1000;
  const to = Math.min(now, end + seconds / 2);
  if (now - to < seconds / 100) setRange(`-${Math.round((now - begin + seconds / 2) / 60) || 1}m`);
  else setRange(begin - seconds / 2, to);
}

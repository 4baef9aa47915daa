/** Pieces of objectives: their state, what is left of a budget, and burn rates. */

import { duration, NONE } from '../core/format.js';
import { html } from '../core/html.js';
import { Share } from './figure.js';
import { Icon } from './icon.js';

const STATES = {
  ok: ['good', 'good', 'Fine'],
  burning: ['high', 'warn', 'Burning'],
  spent: ['critical', 'bad', 'Spent'],
  idle: ['idle', 'quiet', 'Idle'],
};

/** Fine, Burning, Spent or Idle: by a shape and a word, never by colour alone. */
export function ObjectiveState({ state }) {
  const [icon, tone, word] = STATES[state] ?? ['idle', 'quiet', 'Unknown'];
  return html`<span class="mark ${tone}"><${Icon} name=${icon} /><span>${word}</span></span>`;
}

/** A percentage with as many digits as an objective needs: 99.95 %. */
export const share = (value) => (value === null || value === undefined ? NONE
  : `${Number(value.toFixed(3))}\u00a0%`);

/** What is left of a budget, as a bar behind its text. */
export function Budget({ percent }) {
  if (percent === null) return html`<span class="quiet">${NONE}</span>`;
  const tone = percent <= 0 ? 'bad' : percent < 25 ? 'warn' : '';
  return html`<${Share} ratio=${percent / 100} tone=${tone}>${budget(percent)}</${Share}>`;
}

/** The same as a text: 62.4 %, -120 %. */
export const budget = (percent) => (percent === null ? NONE
  : `${percent.toFixed(Math.abs(percent) < 9.95 ? 1 : 0).replace('-', '\u2212')}\u00a0%`);

/** How many times faster than allowed a budget burns. */
export function Burn({ rate, limit = 1 }) {
  if (rate === null || rate === undefined) return html`<span class="quiet">${NONE}</span>`;
  const text = `${Number(rate.toPrecision(2))}\u00d7`;
  return rate > limit ? html`<b class="warn">${text}</b>` : html`<span>${text}</span>`;
}

/** How long from now: in 3 h 10 m. */
export const left = (at) => `in ${duration(Math.max(60_000, at * 1000 - Date.now()))}`;

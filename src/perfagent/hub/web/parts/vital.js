/** Web vitals: a value, and whether it is good, by a shape and a word. */

import { duration, NONE, number, percent } from '../core/format.js';
import { html } from '../core/html.js';
import { Icon } from './icon.js';

export const VITALS = {
  lcp: 'Largest Contentful Paint',
  inp: 'Interaction to Next Paint',
  cls: 'Cumulative Layout Shift',
  fcp: 'First Contentful Paint',
  ttfb: 'Time to First Byte',
};
const MARKS = {
  good: ['good', 'good', 'Good'],
  'needs-improvement': ['medium', 'warn', 'Needs improvement'],
  poor: ['critical', 'bad', 'Poor'],
};

/** The value of a vital in its unit. */
export function shown(name, value) {
  if (value === null || value === undefined) return NONE;
  return name === 'cls' ? (value === 0 ? '0' : number(Math.round(value * 1000) / 1000)) : duration(value);
}

/** A page's vital with its mark; `shares` tells in words how many loads were good. */
export function Vital({ name, of, shares }) {
  if (!of) return html`<span class="quiet">${NONE}</span>`;
  const [icon, tone, word] = MARKS[of.rating];
  const text = `${word}: ${percent(of.good)} of the loads good, ${percent(of.poor)} poor`;
  return html`<span class="mark ${tone}" title=${text}><${Icon} name=${icon} label=${word} size=${14} />
      <span>${shown(name, of.p75)}</span></span>${shares && html` <small>${percent(of.good)} good</small>`}`;
}

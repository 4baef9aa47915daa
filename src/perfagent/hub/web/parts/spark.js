/** A line of a few millimetres: the shape of a series in a row of a table. */

import { html } from '../core/html.js';

const [WIDTH, HEIGHT] = [72, 18];

/** @param {(number|null)[]} values in the order of time; @param {number} top the value at the upper edge, else the largest */
export function Spark({ values, top, tone = '' }) {
  const known = (values ?? []).map((value) => value ?? 0);
  if (known.length < 2) return html`<svg class="spark" width=${WIDTH} height=${HEIGHT} aria-hidden="true"></svg>`;
  const most = top ?? Math.max(...known);
  const step = WIDTH / (known.length - 1);
  const points = known.map((value, index) =>
      `${(index * step).toFixed(1)},${(HEIGHT - 1.5 - (most ? value / most : 0) * (HEIGHT - 3)).toFixed(1)}`).join(' ');
  return html`<svg class="spark ${tone}" width=${WIDTH} height=${HEIGHT} viewBox=${`0 0 ${WIDTH} ${HEIGHT}`}
      aria-hidden="true">
    <polygon points=${`0,${HEIGHT} ${points} ${WIDTH},${HEIGHT}`} /><polyline points=${points} /></svg>`;
}

/** Traces as a table, and as dots over time. */

import { clock, count, duration, full, when } from '../core/format.js';
import { html } from '../core/html.js';
import { link } from '../core/route.js';
import { line } from '../core/text.js';
import { Share } from './figure.js';
import { Name } from './names.js';
import { Outcome } from './severity.js';
import { Table } from './table.js';

/** @param {boolean} named whether names are told: not where all are of one endpoint */
export function Traces({ items, caption, named = true, sorted, list, primary }) {
  const longest = Math.max(1, ...items.map((one) => one.duration_ms));
  const columns = [
    named
      ? { key: 'name', label: 'Trace', cell: (one) => html`<${Name} name=${one.name} service=${one.service} />`,
        grow: true }
      : { key: 'name', label: 'Started', cell: (one) => html`<time title=${full(one.started)}>${when(one.started)}
          </time>`, grow: true },
    named && { key: 'started', label: 'Started',
      cell: (one) => html`<time title=${full(one.started)}>${when(one.started)}</time>`, right: true },
    { key: 'duration', label: 'Duration', right: true,
      cell: (one) => html`<${Share} ratio=${one.duration_ms / longest} tone=${one.error ? 'bad' : ''}>
          ${duration(one.duration_ms)}</${Share}>` },
    { key: 'status', label: 'Status', cell: (one) => html`<${Outcome} error=${one.error} code=${one.status_code} />` },
    { key: 'spans', label: 'Spans', right: true, wide: true, cell: (one) => count(one.spans) },
    { key: 'services', label: 'Services', wide: true,
      cell: (one) => html`<span class="quiet">${line((one.services ?? []).join(', '), 60)}</span>` },
  ].filter(Boolean);
  return html`<${Table} caption=${caption} columns=${columns} rows=${items} id=${(one) => one.trace_id}
      href=${(one) => link(['traces', one.trace_id], { service: null })} sorted=${sorted} list=${list}
        primary=${primary} />`;
}

const [WIDTH, HEIGHT, LEFT, BOTTOM] = [1000, 130, 4, 18];

/** Each trace as a dot: later is further right, slower is higher (logarithmic); failed ones are crosses. */
export function Dots({ items }) {
  const known = items.filter((one) => one.duration_ms > 0);
  if (known.length < 3) return null;
  const [from, to] = [Math.min(...known.map((one) => one.started)),
    Math.max(...known.map((one) => one.started)) + 0.001];
  const [low, high] = [Math.min(...known.map((one) => one.duration_ms)),
    Math.max(...known.map((one) => one.duration_ms))].map(Math.log);
  const x = (one) => LEFT + Math.max(0, Math.min(1, (one.started - from) / (to - from))) * (WIDTH - 2 * LEFT);
  const y = (one) => 8 + (1 - (high > low ? (Math.log(one.duration_ms) - low) / (high - low)
      : 0.5)) * (HEIGHT - BOTTOM - 16);
  return html`<div class="dots" aria-hidden="true"><span class="dots-top">${duration(Math.exp(high))}</span>
      <span class="dots-bottom">${duration(Math.exp(low))}</span>
    ${known.map((one) => html`<a key=${one.trace_id} tabindex="-1" class=${one.error ? 'dot failed' : 'dot'}
          href=${link(['traces', one.trace_id], { service: null })}
            title=${`${line(one.name, 80)} ${duration(one.duration_ms)}`}
              style=${{ left: `${(x(one) / WIDTH) * 100}%`, top: `${y(one)}px` }}></a>`)}
    <span class="dots-from">${clock(from, to - from < 600)}</span><span class="dots-to">${clock(to, to - from < 600)}
      </span></div>`;
}

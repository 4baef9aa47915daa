/** Processes: which programs run, and their vital signs. */

import { useFilters, useList } from '../core/data.js';
import { ago, bytes, count, duration, full, percent, rate } from '../core/format.js';
import { html } from '../core/html.js';
import { link } from '../core/route.js';
import { line } from '../core/text.js';
import { Icon } from '../parts/icon.js';
import { FirstSteps } from '../parts/states.js';
import { Table } from '../parts/table.js';
import { View } from '../parts/view.js';

const COLUMNS = [
  { key: 'name', label: 'Process', grow: true, rising: true, value: (one) => `${one.service} ${one.pid}`,
    cell: (one) => html`<span class="name">${line(one.service, 60)} <span class="quiet">${one.pid
        ?? line(one.instance, 24)}</span></span><span class="below">
          ${line([one.host, one.python && `Python ${one.python}`,
                one.version && `version ${one.version}`].filter(Boolean).join(' · '), 120)}</span>` },
  { key: 'alive', label: 'State', value: (one) => Number(one.alive), cell: (one) => html`<${Alive} of=${one} />` },
  { key: 'rate', label: 'Requests', right: true, wide: true, value: (one) => one.requests_per_second,
    cell: (one) => rate(one.requests_per_second) },
  { key: 'cpu', label: 'CPU', right: true, value: (one) => one.cpu_ratio, cell: (one) => percent(one.cpu_ratio) },
  { key: 'memory', label: 'Memory', right: true, value: (one) => one.memory_bytes,
    cell: (one) => bytes(one.memory_bytes) },
  { key: 'lag', label: 'Loop lag p99', right: true, wide: true, value: (one) => one.lag_p99_ms,
    cell: (one) => duration(one.lag_p99_ms) },
  { key: 'gc', label: 'GC p99', right: true, wide: true, value: (one) => one.gc_p99_ms,
    cell: (one) => duration(one.gc_p99_ms) },
  { key: 'threads', label: 'Threads', right: true, wide: true, value: (one) => one.threads,
    cell: (one) => count(one.threads) },
  { key: 'descriptors', label: 'Files', right: true, wide: true, title: 'Open file descriptors',
    value: (one) => one.descriptors, cell: (one) => count(one.descriptors) },
  { key: 'dropped', label: 'Dropped', right: true, wide: true,
    title: 'Spans, logs and points that the agent could not send', value: (one) => one.dropped,
      cell: (one) => (one.dropped ? html`<span class="warn"><${Icon} name="high" size=${13} /> ${count(one.dropped)}
          </span>` : html`<span class="quiet">${count(one.dropped)}</span>`) },
  { key: 'started', label: 'Started', right: true, wide: true, value: (one) => one.started,
    cell: (one) => html`<time title=${full(one.started)}>${ago(one.started)}</time>` },
];

/** Whether it still reports, by a word and a drawing. */
export function Alive({ of }) {
  return of.alive ? html`<span class="mark good"><${Icon} name="good" /><span>Running</span></span>`
    : html`<span class="mark quiet" title=${full(of.last_seen)}><${Icon} name="idle" /><span>Seen ${ago(of.last_seen)}
        </span></span>`;
}

export default function ProcessesView() {
  const list = useList('processes', { ...useFilters(), limit: 200 });
  return html`<${View} name="processes" title="Processes" source=${list}>${() => list.items.length
    ? html`<${Table} caption="Processes" columns=${COLUMNS} rows=${list.items} id=${(one) => `${one.instance} ${one.started}`}
        href=${(one) => link(['processes', one.instance])} sorted="alive" list=${list} primary=${true} />`
    : html`<${FirstSteps} />`}</${View}>`;
}

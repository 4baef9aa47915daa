/** Logs: how many of which severity over time, and the records themselves. */

import { useCell } from '../core/cell.js';
import { useData, useFilters, useList } from '../core/data.js';
import { html } from '../core/html.js';
import { range } from '../core/range.js';
import { route, setQuery } from '../core/route.js';
import { line } from '../core/text.js';
import { Chart } from '../parts/chart.js';
import { Chips, SegmentFilter, TextFilter } from '../parts/fields.js';
import { Logs } from '../parts/logs.js';
import { Empty, NothingHere } from '../parts/states.js';
import { View } from '../parts/view.js';

const LEAST = [
  ['', 'All'],
  ['info', 'Info'],
  ['warning', 'Warning'],
  ['error', 'Error'],
];
const COLOURS = { TRACE: '--c8', DEBUG: '--c8', INFO: '--accent-3', WARN: '--warn', WARNING: '--warn', ERROR: '--bad',
  FATAL: '--c4', CRITICAL: '--c4' };
const ORDER = ['FATAL', 'CRITICAL', 'ERROR', 'WARN', 'WARNING', 'INFO', 'DEBUG', 'TRACE'];

export default function LogsView() {
  const filters = useFilters();
  const { query } = useCell(route);
  const [q, severity, trace] = ['q', 'severity', 'trace_id'].map((key) => query.get(key));
  const list = useList('logs', { ...filters, q, severity, trace_id: trace, limit: 200 });
  const summary = useData('logs/summary', filters);
  return html`<${View} name="logs" title="Logs" source=${list}>${() => html`
    <div class="filters" role="search" aria-label="Logs">
      <${TextFilter} name="q" label="Search logs" placeholder="Search in messages" />
      <${SegmentFilter} name="severity" label="Least severity" options=${LEAST} />
      ${trace && html`<${Chips} items=${[[`trace ${trace}`, () => setQuery({ trace_id: null })]]} />`}
    </div>
    ${summary.data && html`<${Counts} of=${summary.data} filters=${filters} />`}
    ${list.items.length
      ? html`<div class="panel"><${Logs} items=${list.items} /></div>
        ${list.next && html`<p class="more"><button type="button" onClick=${list.more}
              disabled=${list.loadingMore}>Show more</button></p>`}`
      : q || severity || trace
        ? html`<${Empty} title="No record matches"><p class="row-of-buttons"><button type="button" onClick=${() =>
            setQuery({ q: null, severity: null, trace_id: null }, true)}>Clear the filters</button></p></${Empty}>`
        : html`<${NothingHere} what="log records" icon="logs">
            <p>What a program writes with <code>logging</code> is sent along under <code>perfagent run</code>.</p>
            </${NothingHere}>`}`}</${View}>`;
}

function Counts({ of: { time, counts } }) {
  const { begin, end } = range();
  const series = Object.entries(counts)
    .filter(([, values]) => values.some((value) => value > 0))
    .sort(([one], [other]) => place(one) - place(other))
    .map(([name, values]) => ({ label: line(name, 20).toLowerCase(), values,
          colour: COLOURS[name.toUpperCase()] ?? '--c8' }));
  return series.length ? html`<div class="panel"><${Chart} label="Log records by severity" time=${time} span=${[begin,
        end]} unit="1" stacked=${true} height=${96} series=${series} /></div>` : null;
}

const place = (name) => (ORDER.indexOf(name.toUpperCase()) + ORDER.length + 1) % (ORDER.length + 1);

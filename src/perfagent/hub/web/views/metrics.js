/** Metrics: any of them over time, by attribute, as rate, mean or percentile. */

import { useCell } from '../core/cell.js';
import { useData, useFilters, useList } from '../core/data.js';
import { ago, count, full, quantity } from '../core/format.js';
import { html, useState } from '../core/html.js';
import { range } from '../core/range.js';
import { link, route, setQuery } from '../core/route.js';
import { line, sorted, valueText } from '../core/text.js';
import { Chart } from '../parts/chart.js';
import { ChoiceFilter, TextFilter, ValueChips } from '../parts/fields.js';
import { Icon } from '../parts/icon.js';
import { Empty, Failed, FirstSteps, Loading } from '../parts/states.js';
import { Table } from '../parts/table.js';
import { Panel, View } from '../parts/view.js';

const STATS = {
  gauge: ['avg', 'min', 'max', 'last', 'sum', 'count'],
  counter: ['rate', 'sum', 'last', 'count'],
  histogram: ['p95', 'p50', 'p90', 'p99', 'avg', 'min', 'max', 'rate', 'count', 'sum'],
  summary: ['avg', 'rate', 'count', 'sum'],
};
const NAMES = { rate: 'Rate', sum: 'Sum', avg: 'Mean', min: 'Lowest', max: 'Highest', last: 'Last', count: 'Count' };
const COLOURS = 8;

const statsOf = (kind) => STATS[kind] ?? (kind === 'exponential' ? STATS.histogram : STATS.gauge);

export default function MetricsView() {
  const { query } = useCell(route);
  const filters = useFilters();
  const name = query.get('name');
  const q = query.get('q');
  const list = useList('metrics', { ...filters, limit: 500 });
  return html`<${View} name="metrics" title="Metrics" source=${list}
      actions=${html`<${TextFilter} name="q" label="Search metrics" placeholder="Search metrics" />`}>${() => {
    if (!list.items.length) return html`<${FirstSteps} />`;
    const shown = q ? list.items.filter((one) => `${one.name} ${one.description}`.toLowerCase()
      .includes(q.toLowerCase())) : list.items;
    const chosen = list.items.find((one) => one.name === name);
    return html`
      ${name && html`<${Explorer} key=${name} name=${name} metric=${chosen} />`}
      ${shown.length ? html`<${Metrics} items=${shown} list=${list} />`
        : html`<${Empty} title="No metric has that in its name"></${Empty}>`}`;
  }}</${View}>`;
}

const COLUMNS = [
  { key: 'name', label: 'Metric', grow: true, rising: true, value: (one) => one.name,
    cell: (one) => html`<span class="name"><bdi>${line(one.name, 120)}</bdi></span>
      <span class="below">${line(one.description, 160)}</span>` },
  { key: 'kind', label: 'Kind', wide: true, value: (one) => one.kind,
    cell: (one) => html`<span class="quiet">${line(one.kind, 20)}</span>` },
  { key: 'unit', label: 'Unit', wide: true, cell: (one) => html`<span class="quiet">${line(one.unit, 20)}</span>` },
  { key: 'services', label: 'Services', wide: true, cell: (one) =>
      html`<span class="quiet">${line((one.services ?? []).join(', '), 60)}</span>` },
  { key: 'series', label: 'Series', right: true, value: (one) => one.series, cell: (one) => count(one.series) },
  { key: 'seen', label: 'Last', right: true, wide: true, value: (one) => one.last_seen,
    cell: (one) => html`<time title=${full(one.last_seen)}>${ago(one.last_seen)}</time>` },
];

function Metrics({ items, list }) {
  const choose = (one) => link(['metrics'], { name: one.name });
  return html`<${Table} caption="Metrics" columns=${COLUMNS} rows=${items} id=${(one) => one.name} href=${choose}
      sorted="name" list=${list} primary=${true} />`;
}

function Explorer({ name, metric }) {
  const { query } = useCell(route);
  const filters = useFilters();
  const stats = statsOf(metric?.kind);
  const stat = query.get('stat') ?? stats[0];
  const by = query.getAll('by');
  const attributes = query.getAll('attribute');
  const source = useData('metrics/query', { ...filters, name, stat, by, attribute: attributes });
  const { data, error } = source;
  const unit = data?.unit ?? '';
  return html`<${Panel} className="explorer" title=${html`<code>${line(name, 120)}</code>`}
      note=${line(metric?.description, 160)} actions=${html`<a class="button ghost" href=${link(['metrics'])}>
            <${Icon} name="close" size=${13} /> Close</a>`}>
    <div class="filters">
      <${ChoiceFilter} name="stat" label="Show" options=${stats.map((one) => [one, NAMES[one] ?? one])} />
      <${GroupBy} known=${metric?.attributes ?? keysOf(data)} by=${by} />
      <${ValueChips} name="attribute" values=${attributes} />
    </div>
    ${error && !data ? html`<${Failed} error=${error} again=${source.reload} />` : !data
      ? html`<${Loading} rows=${3} />` : html`<${Shown} data=${data} name=${name} unit=${unit}
          attributes=${attributes} />`}
  </${Panel}>`;
}

const keysOf = (data) => [...new Set((data?.series ?? []).flatMap((one) => Object.keys(one.attributes)))];

/** Up to two attributes that split the metric into lines. */
function GroupBy({ known, by }) {
  const [text, setText] = useState('');
  const add = (event) => {
    event.preventDefault();
    const wanted = event.currentTarget.elements.by.value.trim();
    setText('');
    if (wanted) setQuery({ by: [...new Set([...by, wanted])].slice(-2) });
  };
  return html`<form class="attribute-filter" onSubmit=${add}>
    <label class="field"><span>By</span><input name="by" list="metric-attributes" placeholder="attribute"
          autocomplete="off" spellcheck=${false} value=${text} onInput=${(event) =>
              setText(event.currentTarget.value)} /></label>
    <datalist id="metric-attributes">${known.filter((key) => !by.includes(key))
      .map((key) => html`<option key=${key} value=${key}></option>`)}</datalist>
    <button type="submit">Split</button>
    <${ValueChips} name="by" values=${by} prefix="by " />
                </form>`;
}

const named = (attributes) => sorted(attributes).map(([key, value]) => `${key}=${valueText(value)}`).join(', ');

function Shown({ data, name, unit, attributes }) {
  const { begin, end } = range();
  if (!data.series.length) return html`<p class="quiet">No value in this range.</p>`;
  const lines = data.series.map((one, index) => ({ label: line(named(one.attributes) || name, 60), values: one.values,
        colour: data.series.length === 1 ? '--accent' : `--c${(index % COLOURS) + 1}`,
          dash: Math.floor(index / COLOURS) % 4, fill: data.series.length === 1 }));
  return html`<${Chart} label=${`${line(name, 80)}, ${data.stat}`} time=${data.time} span=${[begin, end]} unit=${unit}
      height=${260} series=${lines} legend=${data.series.length <= 12} />
    ${data.left_out > 0 && html`<p class="notice">
          <${Icon} name="low" /> ${count(data.left_out)} more series are left out; choose an attribute's value to see fewer.</p>`}
    ${data.series.length > 1 && html`<${Series} data=${data} unit=${unit} attributes=${attributes} />`}`;
}

function Series({ data, unit, attributes }) {
  const rows = data.series.map((one) => {
    const known = one.values.filter((value) => value !== null);
    return { label: named(one.attributes), attributes: one.attributes, last: known.at(-1) ?? null,
      most: known.length ? Math.max(...known) : null, mean: known.length
        ? known.reduce((sum, value) => sum + value, 0) / known.length : null };
  });
  const only = (row) => link(['metrics'], { name: data.name, stat: data.stat,
      attribute: [...new Set([...attributes, ...Object.entries(row.attributes)
            .map(([key, value]) => `${key}=${value}`)])] });
  const columns = [
    { key: 'label', label: 'Series', grow: true, cell: (one) => html`<bdi>${line(one.label, 160) || 'all'}</bdi>` },
    { key: 'last', label: 'Last', right: true, cell: (one) => quantity(one.last, unit) },
    { key: 'mean', label: 'Mean', right: true, wide: true, cell: (one) => quantity(one.mean, unit) },
    { key: 'most', label: 'Highest', right: true, cell: (one) => quantity(one.most, unit) },
  ];
  return html`<${Table} caption="Series" columns=${columns} rows=${rows} id=${(one) => one.label} href=${only} />`;
}

/** One trace: its waterfall, what stands out in it, its logs, and where its time went. */

import { useCell } from '../core/cell.js';
import { useData } from '../core/data.js';
import { chartOf } from '../core/flame.js';
import { count, duration, full, when } from '../core/format.js';
import { html, useMemo } from '../core/html.js';
import { link, route, setQuery } from '../core/route.js';
import { byOperation, selfTime } from '../core/spans.js';
import { line } from '../core/text.js';
import { Segments } from '../parts/fields.js';
import { Figure, Figures, Parts, Share } from '../parts/figure.js';
import { Flame } from '../parts/flame.js';
import { Icon } from '../parts/icon.js';
import { Logs } from '../parts/logs.js';
import { Name, Place, Service } from '../parts/names.js';
import { Copy } from '../parts/states.js';
import { Table } from '../parts/table.js';
import { shown, VITALS } from '../parts/vital.js';
import { View } from '../parts/view.js';
import { Waterfall } from '../parts/waterfall.js';

export default function TraceView({ subject }) {
  const source = useData(`traces/${encodeURIComponent(subject)}`, {}, false);
  const data = source.data;
  const title = data ? html`<${Name} name=${data.name} /> <${Service} name=${data.service} />` : 'Trace';
  return html`<${View} name="trace" title=${title} label=${data?.name ?? 'Trace'}
      crumbs=${[['Traces', link(['traces'])]]} source=${source}
    actions=${html`<span class="trace-id"><code>${line(subject, 32)}</code>
          <${Copy} text=${subject} label="Copy the trace id" /></span>`}>
          ${() => html`<${Content} data=${data} reload=${source.reload} />`}</${View}>`;
}

function Content({ data, reload }) {
  const { query } = useCell(route);
  const tab = query.get('tab') ?? 'waterfall';
  const errors = data.spans.filter((span) => span.status === 'error').length;
  const chart = useData(`profiles/traces/${data.trace_id}`, {}, false).data;
  const tabs = [['waterfall', 'Waterfall'], ['operations', 'Where time goes'],
    ...(chart?.moments.length ? [['flame', 'Flame chart']] : []), ['logs', `Logs ${data.logs.length ? count(data.logs.length) : ''}`]];
  return html`
    <${Figures}>
      <${Figure} name="Duration" value=${duration(data.duration_ms)} />
      <${Figure} name="Started" value=${when(data.started)} title=${full(data.started)} />
      <${Figure} name="Spans" value=${count(data.spans.length)} />
      <${Figure} name="Errors" value=${count(errors)} tone=${errors ? 'bad' : ''} />
      <${Figure} name="Services" value=${count(data.services.length)}
          title=${data.services.map((name) => line(name, 60)).join(', ')} />
    </${Figures}>
    ${!data.complete && html`<p class="notice">
          <${Icon} name="low" /> Parts of this trace have not arrived, or are no longer kept. <button type="button"
              onClick=${reload}>Look again</button></p>`}
    ${data.left_out > 0 && html`<p class="notice">
          <${Icon} name="low" /> ${count(data.left_out)} more spans are not shown: these are the first ${count(data.spans.length)}.</p>`}
    <${InBrowser} trace=${data.trace_id} />
    <${TimeParts} spans=${data.spans} />
    ${data.repeated.length > 0 && html`<${Repeated} items=${data.repeated} />`}
    <${Segments} label="Part of the trace" options=${tabs} value=${tab}
      onChoose=${(value) => setQuery({ tab: value === 'waterfall' ? null : value })} />
    ${tab === 'logs' ? html`<${Logs} items=${data.logs} empty="No log record was written in this trace." />`
      : tab === 'flame' && chart?.moments.length ? html`<${FlameChart} chart=${chart} />`
      : tab === 'operations' ? html`<${Operations} data=${data} />` : html`<${Waterfall} trace=${data} />`}`;
}

/** What the program did while this trace ran, sample by sample. */
function FlameChart({ chart }) {
  const flame = useMemo(() => chartOf(chart), [chart]);
  const threads = flame.lanes.map((name) => line(name, 40) || 'a thread').join(', ');
  return html`<p class="quiet">${`${count(chart.moments.length)} samples of ${threads}, from ${duration(flame.first)} to ${
      duration(flame.whole)} after the begin.`}</p>
    <${Flame} flame=${flame} unit="ms" timed=${true}
      label="Flame chart: arrow keys go from function to function, Enter fills the width" />`;
}

/** What the browser told of the page that was the answer. */
function InBrowser({ trace }) {
  const [load] = useData('browsers/loads', { trace_id: trace, from: '-48h' }).data?.items ?? [];
  if (!load) return null;
  return html`<section aria-label="In the browser"><h2>In the browser</h2><${Figures}>
    ${Object.keys(VITALS).filter((key) => key in load.values).map((key) => html`<${Figure} key=${key}
      name=${key.toUpperCase()} title=${VITALS[key]} value=${shown(key, load.values[key])} />`)}
    ${'page_load' in load.values && html`<${Figure} name="Loaded" value=${duration(load.values.page_load)} />`}
    </${Figures}></section>`;
}

function TimeParts({ spans }) {
  const sums = useMemo(() => selfTime(spans), [spans]);
  const part = (label, value, colour) => ({ label, value, text: duration(value), colour });
  return html`<${Parts} label="Where the time of this trace goes"
      parts=${[part('own work', sums.own, '--c1'), part('queries', sums.queries, '--c2'),
          part('cache', sums.cache, '--c3'), part('calls', sums.calls, '--c4')]} />`;
}

/** Queries that ran again and again under one span: the sign of a query in a loop. */
function Repeated({ items }) {
  return html`<section class="repeated" aria-label="Repeated queries">
      <h2><${Icon} name="repeat" /> Repeated queries</h2>
    <ul>${items.map((one) => html`<li key=${`${one.operation} ${one.parent_id}`}>
          <b>${count(one.times)}×</b> <a href=${link(['queries', one.operation])}>${line(one.summary || one.text, 100)}
            </a>
      <span>${duration(one.total_ms)} in all</span> ${one.caller && html`<${Place} caller=${one.caller} />`}
      <button type="button" class="ghost" onClick=${() =>
          setQuery({ tab: null, find: one.summary || one.text })}>Show them</button></li>`)}</ul></section>`;
}

function Operations({ data }) {
  const rows = useMemo(() => byOperation(data.spans), [data]);
  const whole = rows.reduce((sum, one) => sum + one.self_ms, 0) || 1;
  const columns = [
    { key: 'name', label: 'Operation', grow: true, rising: true, value: (one) => one.name,
      cell: (one) => html`<${Name} name=${one.name} service=${one.service} />` },
    { key: 'category', label: 'Kind', wide: true,
      cell: (one) => html`<span class="quiet">${line(one.category, 20)}</span>` },
    { key: 'spans', label: 'Spans', right: true, value: (one) => one.spans, cell: (one) => count(one.spans) },
    { key: 'total', label: 'Total', right: true, wide: true, value: (one) => one.total_ms,
      cell: (one) => duration(one.total_ms) },
    { key: 'critical', label: 'On the critical path', right: true, wide: true, value: (one) => one.critical_ms,
      cell: (one) => duration(one.critical_ms) },
    { key: 'self', label: 'Self time', right: true, value: (one) => one.self_ms,
      cell: (one) => html`<${Share} ratio=${one.self_ms / whole}>${duration(one.self_ms)}</${Share}>` },
  ];
  return html`<${Table} caption="Operations of this trace" columns=${columns} rows=${rows} id=${(one) => one.key}
      sorted="self" />`;
}

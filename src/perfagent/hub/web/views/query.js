/** One query: its text, where it is called from, which endpoints pay for it. */

import { useData, useFilters } from '../core/data.js';
import { count, duration, mean, percent } from '../core/format.js';
import { html } from '../core/html.js';
import { link } from '../core/route.js';
import { line } from '../core/text.js';
import { Chart, percentiles } from '../parts/chart.js';
import { Figure, Figures, Share } from '../parts/figure.js';
import { HeatMap } from '../parts/heatmap.js';
import { Icon } from '../parts/icon.js';
import { Name, Place, Service } from '../parts/names.js';
import { Plan } from '../parts/plan.js';
import { Sql } from '../parts/sql.js';
import { Copy } from '../parts/states.js';
import { Table } from '../parts/table.js';
import { Traces } from '../parts/traces.js';
import { Panel, View } from '../parts/view.js';

export default function QueryView({ subject }) {
  const source = useData(`queries/${encodeURIComponent(subject)}`, useFilters());
  const one = source.data?.query;
  const name = one ? line(one.summary || one.text, 120) : 'Query';
  return html`<${View} name="query" title=${one ? html`<bdi>${name}</bdi> <${Service} name=${one.service} />` : name}
      label=${name} crumbs=${[['Queries', link(['queries'])]]} source=${source}>
        ${(data) => html`<${Content} data=${data} />`}</${View}>`;
}

function Content({ data }) {
  const { query: one, series, range } = data;
  const span = range ? [range.from, range.to] : undefined;
  return html`
    <${Figures}>
      <${Figure} name="Calls" value=${count(one.calls)} />
      <${Figure} name="Time in all" value=${duration(one.total_ms)} note=${percent(one.share)} />
      <${Figure} name="Mean" value=${duration(one.mean_ms)} /><${Figure} name="p95" value=${duration(one.p95_ms)} />
        <${Figure} name="Longest" value=${duration(one.max_ms)} />
      <${Figure} name="Rows a call" value=${mean(one.rows_per_call)} />
      <${Figure} name="Errors" value=${count(one.errors)} tone=${one.errors ? 'bad' : ''} />
    </${Figures}>
    ${one.repeated >= 10 && html`<p class="notice warn"><${Icon}
          name="repeat" /> Up to ${count(one.repeated)} times within one trace: a query in a loop. One query with <code>IN (…)</code> or a join would do the same in one call.</p>`}
    <${Panel} title="Statement" note=${one.system} actions=${html`<${Copy} text=${one.text}
          label="Copy the statement" />`}><${Sql} text=${one.text} block=${true} /></${Panel}>
    ${data.plan && html`<${Plan} plan=${data.plan} />`}
    <div class="columns">
      <${Panel} title="Called from">${data.callers.length ? html`<${Callers} items=${data.callers}
            calls=${one.calls} />` : html`<p class="quiet">The program's place was not recorded.</p>`}</${Panel}>
      <${Panel} title="Endpoints that call it">${data.endpoints.length
        ? html`<${EndpointsOf} items=${data.endpoints} />` : html`<p class="quiet">None is known in this range.</p>`}
          </${Panel}>
    </div>
    ${data.heatmap && html`<${Panel} title="How long calls took" wide=${true}>
          <${HeatMap} map=${data.heatmap} operation=${one.operation} until=${range?.to
            ?? Date.now() / 1000} what="calls" /></${Panel}>`}
    <div class="columns">
      <${Panel} title="Duration"><${Chart} label="Duration" time=${series.time} span=${span} unit="ms"
            series=${percentiles(series)} /></${Panel}>
      <${Panel} title="Rate"><${Chart} label="Calls a second" time=${series.time} span=${span} unit="/s"
            series=${[{ label: 'calls', values: series.rate, colour: '--accent', fill: true }]} /></${Panel}>
    </div>
    <${Panel} title="Slowest calls">${data.slowest.length ? html`<${Traces}
          caption="Traces with the slowest calls of this query" items=${data.slowest} named=${false}
            primary=${true} />` : html`<p class="quiet">None is kept of this range.</p>`}</${Panel}>`;
}

function Callers({ items, calls }) {
  const columns = [
    { key: 'caller', label: 'Place', grow: true, cell: (one) => html`<${Place} caller=${one.caller} />` },
    { key: 'calls', label: 'Calls', right: true, cell: (one) =>
        html`<${Share} ratio=${one.calls / calls}>${count(one.calls)}</${Share}>` },
  ];
  return html`<${Table} caption="Places in the program that call this query" columns=${columns} rows=${items}
      id=${(one) => one.caller} />`;
}

function EndpointsOf({ items }) {
  const columns = [
    { key: 'name', label: 'Endpoint', grow: true, cell: (one) => html`<${Name} name=${one.name} />` },
    { key: 'per', label: 'A request', right: true, title: 'Calls in a mean request',
      cell: (one) => mean(one.calls_per_request) },
    { key: 'calls', label: 'Calls', right: true, cell: (one) => count(one.calls) },
  ];
  return html`<${Table} caption="Endpoints that call this query" columns=${columns} rows=${items}
      id=${(one) => one.operation} href=${(one) => link(['endpoints', one.operation])} />`;
}

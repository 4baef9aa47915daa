/** One endpoint: how its durations are spread, where its time goes, its slowest and its failed traces. */

import { useData, useFilters } from '../core/data.js';
import { count, duration, mean, percent, rate } from '../core/format.js';
import { html } from '../core/html.js';
import { link } from '../core/route.js';
import { line } from '../core/text.js';
import { Chart, percentiles } from '../parts/chart.js';
import { Figure, Figures, Parts, Share } from '../parts/figure.js';
import { HeatMap } from '../parts/heatmap.js';
import { Name, Service } from '../parts/names.js';
import { Times } from '../parts/operations.js';
import { Table } from '../parts/table.js';
import { TimeBar, TimeTable } from '../parts/time_parts.js';
import { Traces } from '../parts/traces.js';
import { Panel, View } from '../parts/view.js';

export default function EndpointView({ subject }) {
  const filters = useFilters();
  const source = useData(`endpoints/${encodeURIComponent(subject)}`, filters);
  const one = source.data?.endpoint;
  const title = one ? html`<${Name} name=${one.name} /> <${Service} name=${one.service} />` : 'Endpoint';
  return html`<${View} name="endpoint" title=${title} label=${one?.name ?? 'Endpoint'}
      crumbs=${[['Endpoints', link(['endpoints'])]]} source=${source}
    actions=${html`<a class="button" href=${link(['traces'], { operation: subject })}>Its traces</a>`}>
      ${(data) => html`<${Content} data=${data} />`}</${View}>`;
}

function Content({ data }) {
  const { endpoint: one, series, range } = data;
  const span = [range.from, range.to];
  return html`
    <${Figures}>
      <${Figure} name="Requests" value=${count(one.requests)} note=${rate(one.requests_per_second)} />
      <${Figure} name="Errors" value=${percent(one.error_ratio)} note=${`${count(one.errors)} failed`}
          tone=${one.error_ratio >= 0.01 ? 'bad' : ''} />
      <${Figure} name="p50" value=${duration(one.p50_ms)} /><${Figure} name="p95" value=${duration(one.p95_ms)} />
        <${Figure} name="p99" value=${duration(one.p99_ms)} />
      <${Figure} name="Longest" value=${duration(one.max_ms)} />
        <${Figure} name="Share of time" value=${percent(one.share)} />
    </${Figures}>
    <${Breakdown} of=${data.breakdown} />
    <${Spent} of=${data.breakdown} />
    <${Panel} title="How long requests took" wide=${true}><${HeatMap} map=${data.heatmap} operation=${one.operation}
        until=${range.to} /></${Panel}>
    <div class="columns thirds">
      <${Panel} title="Duration"><${Chart} label="Duration" time=${series.time} span=${span} unit="ms"
            series=${percentiles(series)} /></${Panel}>
      <${Panel} title="Rate"><${Chart} label="Requests a second" time=${series.time} span=${span} unit="/s"
            series=${[{ label: 'requests', values: series.rate, colour: '--accent', fill: true }]} /></${Panel}>
      <${Panel} title="Errors"><${Chart} label="Errors a second" time=${series.time} span=${span} unit="/s"
            series=${[{ label: 'errors', values: series.errors, colour: '--bad', fill: true }]} /></${Panel}>
    </div>
    <${HotLines} endpoint=${one} />
    ${data.queries.length > 0 && html`<${Panel} title="Its queries">
          <${Children} caption="Queries of this endpoint" items=${data.queries} to="queries" /></${Panel}>`}
    ${data.calls.length > 0 && html`<${Panel} title="What else it calls">
          <${Children} caption="Calls of this endpoint" items=${data.calls} /></${Panel}>`}
    <div class="columns">
      <${Panel} title="Slowest traces">${data.slowest.length ? html`<${Traces} caption="Slowest traces"
            items=${data.slowest} named=${false} primary=${true} />`
              : html`<p class="quiet">None is kept of this range.</p>`}</${Panel}>
      <${Panel} title="Failed traces">${data.errors.length ? html`<${Traces} caption="Failed traces"
            items=${data.errors} named=${false} />` : html`<p class="calm">None.</p>`}</${Panel}>
    </div>
    ${data.status_codes.length > 0 && html`<${Codes} codes=${data.status_codes} requests=${one.requests}
          operation=${one.operation} />`}`;
}

function Breakdown({ of }) {
  const part = (label, value, colour) => ({ label, value, text: duration(value), colour });
  const parts = [part('own work', of?.own_ms, '--c1'), part('queries', of?.queries_ms, '--c2'),
    part('cache', of?.cache_ms, '--c3'), part('calls', of?.calls_ms, '--c4')];
  if (!parts.some((one) => one.value > 0)) return null;
  return html`<${Panel} title="Where the time goes" note="a mean request">
      <${Parts} label="Where the time of a mean request goes" parts=${parts} /></${Panel}>`;
}

/** Where the program itself spends the time of these requests, by the profiler. */
function HotLines({ endpoint }) {
  const filters = useFilters();
  const params = { from: filters.from, to: filters.to, service: endpoint.service, endpoint: endpoint.name };
  const { data } = useData('profiles/lines', { ...params, most: 6 });
  const hot = (data?.items ?? []).filter((one) => one.self > 0);
  if (!hot.length) return null;
  const whole = Math.max(data.now.total, 1e-9);
  const columns = [
    { key: 'line', label: 'Line', grow: true, cell: (one) => html`<span class="query-name">
        <bdi>${line(one.name, 120)}</bdi><code>${line(one.file, 200)}${one.line ? `:${one.line}` : ''}</code></span>` },
    { key: 'per', label: 'A request', right: true, wide: true,
      cell: (one) => (data.now.requests >= 1 ? duration(one.self / data.now.requests) : duration(null)) },
    { key: 'self', label: 'Time', right: true,
      cell: (one) => html`<${Share} ratio=${one.self / whole}>${percent(one.self / whole)}</${Share}>` },
  ];
  const more = link(['profiles'], { endpoint: endpoint.name, service: endpoint.service });
  return html`<${Panel} title="Lines that take the time" note=${`${count(data.now.samples)} samples`}
      actions=${html`<a href=${more}>Flame graph</a>`}>
    <${Table} caption="Lines that take the time" columns=${columns} rows=${hot}
        id=${(one) => `${one.id} ${one.line}`} /></${Panel}>`;
}

/** What an agent measured of its requests: computing, waiting for a pool, for the event loop … */
function Spent({ of }) {
  if (!of?.timed) return null;
  const parts = (key) => Object.fromEntries(of.time.map((one) => [one.part, one[key]]));
  const columns = [['a mean request', parts('mean_ms')], ['the slowest 5 %', parts('slow_ms')]];
  return html`<${Panel} title="What its requests did" note=${`measured on ${count(of.timed)} of the latest`}>
      <div class="time-pair"><div>${columns.map(([name, time]) => html`<p key=${name}><span class="quiet">${name}</span>
          <${TimeBar} label=${`What ${name} did`} time=${time} /></p>`)}</div>
      <${TimeTable} caption="What its requests did" columns=${columns} /></div></${Panel}>`;
}

function Children({ caption, items, to }) {
  const most = Math.max(...items.map((one) => one.total_ms));
  const columns = [
    { key: 'name', label: to ? 'Query' : 'Call', grow: true, cell: (one) =>
        html`<span class="query-name"><bdi>${line(one.summary || one.text || one.name, 120)}</bdi>${one.text
            && one.text !== one.summary && html`<code>${line(one.text, 160)}</code>`}</span>` },
    { key: 'per', label: 'A request', right: true, title: 'Calls in a mean request',
      cell: (one) => mean(one.calls_per_request) },
    { key: 'most', label: 'At most', right: true, wide: true, title: 'Most calls in one request',
      cell: (one) => html`<${Times} times=${one.max_in_one_request} />` },
    { key: 'mean', label: 'Mean', right: true, cell: (one) => duration(one.mean_ms) },
    { key: 'total', label: 'In all', right: true, wide: true,
      cell: (one) => html`<${Share} ratio=${one.total_ms / most}>${duration(one.total_ms)}</${Share}>` },
  ];
  return html`<${Table} caption=${caption} columns=${columns} rows=${items} id=${(one) => one.operation} href=${to
      && ((one) => link([to, one.operation]))} />`;
}

function Codes({ codes, requests, operation }) {
  return html`<${Panel} title="Answers"><ul class="chips">${codes.map(({ code, requests: found }) =>
        html`<li key=${code}><a class="chip ${code >= 500 ? 'bad'
            : ''}" href=${link(['traces'], { operation, code: code || null })}><b>${code
              || 'none'}</b> ${count(found)} <span class="quiet">${percent(requests ? found / requests : null)}</span>
                </a></li>`)}</ul></${Panel}>`;
}

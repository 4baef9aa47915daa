/** Overview: is it healthy, what got slower, and why. */

import { useCell } from '../core/cell.js';
import { useData, useFilters } from '../core/data.js';
import { ago, bytes, count, duration, percent, rate } from '../core/format.js';
import { html, useState } from '../core/html.js';
import { range, setRange } from '../core/range.js';
import { link, route } from '../core/route.js';
import { line } from '../core/text.js';
import { Chart, percentiles } from '../parts/chart.js';
import { Segments } from '../parts/fields.js';
import { Delta } from '../parts/figure.js';
import { Changes, Findings } from '../parts/findings.js';
import { Icon } from '../parts/icon.js';
import { Endpoints, Queries } from '../parts/operations.js';
import { Health, Severity } from '../parts/severity.js';
import { FirstSteps, NothingHere } from '../parts/states.js';
import { Panel, View } from '../parts/view.js';

export default function Overview() {
  const source = useData('overview', useFilters());
  return html`<${View} name="overview" title="Overview" source=${source}>${(data) => html`<${Content} data=${data} />`}
    </${View}>`;
}

function Content({ data }) {
  const { totals, services, series, saturation } = data;
  const silent = !totals.requests && !series.memory_bytes?.some((value) => value !== null);
  if (silent) return services.length ? html`<${NothingHere} what="requests" icon="overview">
      <p>Nothing was received in this range.</p></${NothingHere}>` : html`<${Nothing} />`;
  return html`
    <${State} data=${data} />
    <${Incidents} />
    <${Young} series=${series} />
    <div class="golden"><${Signals} data=${data} saturation=${saturation} /></div>
    <div class="columns"><div>
      <${Panel} title="What stands out">
        ${data.findings.length ? html`<${Found} data=${data} />`
          : html`<p class="calm"><${Icon} name="good" /> Nothing stands out in this range.</p>`}
      </${Panel}></div><div>
      <${Changed} changes=${data.changes} compared=${data.before.requests !== null || data.range.to - data.range.from > HOURS} />
      <${Panel} title="Slowest endpoints" actions=${html`<a href=${link(['endpoints'],
            { sort: 'p95' })}>All endpoints</a>`}>
        ${data.slowest.length ? html`<${Endpoints} caption="Slowest endpoints" items=${data.slowest}
              show=${['name', 'rate', 'errors', 'p95', 'total']} primary=${true} />`
                : html`<p class="quiet">No requests.</p>`}
      </${Panel}>
      <${Panel} title="Heaviest queries" actions=${html`<a href=${link(['queries'])}>All queries</a>`}>
        ${data.queries.length ? html`<${Queries} caption="Heaviest queries" items=${data.queries}
              show=${['name', 'calls', 'p95', 'total']} />` : html`<p class="quiet">No queries.</p>`}
      </${Panel}>
    </div></div>`;
}

/** The worst findings, with the way to the others; or all of them, where the address says so. */
function Found({ data: { findings, findings_total: total } }) {
  const whole = useCell(route).query.get('findings') === 'all';
  const all = useData(whole ? 'insights' : null, useFilters());
  const items = whole && all.data ? all.data.items : findings;
  const left = total - findings.length;
  return html`<${Findings} items=${items} />
    ${whole && all.error && html`<p class="bad" role="alert">${line(all.error.message, 200)}</p>`}
    ${left > 0 && html`<p class="findings-more">${whole ? html`<a href=${link(['overview'])}>The ${count(findings.length)
        } worst alone</a>` : html`<a href=${link(['overview'], { findings: 'all' })}>${count(left)} more</a>`}</p>`}`;
}

/** Nothing in this range and no service known in it: either nothing ever came, or it came at another time. */
function Nothing() {
  const { data } = useData('hub');
  const ever = data && (data.counts?.spans || data.counts?.logs || data.programs);
  if (!data) return null;
  return ever ? html`<${NothingHere} what="data" icon="overview">
      <p>The hub keeps ${count(data.counts.spans)} spans of other times.</p></${NothingHere}>`
        : html`<${FirstSteps} />`;
}

/** A program that has just started fills a corner of the usual range: the way to a closer look. */
function Young({ series: { time, rate: rates } }) {
  const { seconds, relative } = range();
  const first = rates.findIndex((value) => value > 0);
  if (!relative || seconds <= 900 || first < 0 || Date.now() / 1000 - time[first] > 840) return null;
  return html`<p class="notice">All requests of this range came in the last minutes. <button type="button"
        onClick=${() => setRange('-15m')}>Show the last 15 minutes</button></p>`;
}

function State({ data: { health, totals } }) {
  const reasons = health.reasons?.length ? health.reasons.map((reason) => line(reason, 160)).join(' · ') : '';
  const fine = `${rate(totals.requests_per_second)}, p95 ${duration(totals.p95_ms)}, ${percent(totals.error_ratio)} errors.`;
  return html`<div class="state ${health.state}"><${Health} state=${health.state} />
    ${health.score !== null && html`<span class="score" title="Health score, of 100"><b>${Math.round(health.score)}</b>
          <span class="quiet">/100</span></span>`}
    <p>${reasons || fine}</p></div>`;
}

/** What lasts and people are told of, the most severe first; nothing where nothing does. */
function Incidents() {
  const { data } = useData('incidents', { service: useFilters().service, active_only: 'true', limit: 4 });
  const items = (data?.items ?? []).filter((one) => ['warning', 'high', 'critical'].includes(one.severity));
  if (!items.length) return null;
  return html`<ul class="incidents" aria-label="Active incidents">${items.slice(0, 3).map((one) => html`<li key=${one.id}>
    <${Severity} level=${one.severity} /> <a href=${link(['incidents', one.id])}>${line(one.title, 120)}</a>
    <span class="quiet">${one.cause && `${line(one.cause, 160)} · `}since ${ago(one.since)}</span></li>`)}
    ${data.items.length > 3 && html`<li><a href=${link(['alerts'])}>All incidents</a></li>`}</ul>`;
}

function Signals({ data: { series, totals, before, range: within }, saturation }) {
  const { time } = series;
  const span = [within.from, within.to];
  return html`
    <${Signal} name="Rate" value=${rate(totals.requests_per_second)} note=${`${count(totals.requests)} requests`}
      delta=${html`<${Delta} before=${before?.requests_per_second} after=${totals.requests_per_second} show=${rate}
            than="than in the range before" />`}>
      <${Chart} label="Requests a second" time=${time} span=${span} unit="/s" height=${104}
          series=${[{ label: 'requests', values: series.rate, colour: '--accent', fill: true }]} /></${Signal}>
    <${Signal} name="Errors" value=${percent(totals.error_ratio)} note=${`${count(totals.errors)} failed`}
      delta=${html`<${Delta} before=${before?.error_ratio} after=${totals.error_ratio} lower=${true} show=${percent}
            than="than in the range before" />`}>
      <${Chart} label="Errors a second" time=${time} span=${span} unit="/s" height=${104}
          series=${[{ label: 'errors', values: series.errors, colour: '--bad', fill: true }]} /></${Signal}>
    <${Signal} name="Duration" value=${duration(totals.p95_ms)} note="p95"
      delta=${html`<${Delta} before=${before?.p95_ms} after=${totals.p95_ms} lower=${true} show=${duration}
            than="than in the range before" />`}>
      <${Chart} label="Duration of requests" time=${time} span=${span} unit="ms" height=${104}
          series=${percentiles(series)} /></${Signal}>
    <${Saturation} series=${series} span=${span} of=${saturation} />`;
}

function Signal({ name, value, note, delta, children }) {
  return html`<section class="signal"><header><h2>${name}</h2>
        <p><b>${value}</b> <span class="quiet">${note}</span> ${delta}</p></header>${children}</section>`;
}

const MEASURES = [
  ['cpu', 'CPU'],
  ['memory', 'Memory'],
  ['lag', 'Loop lag'],
];

function Saturation({ series, span, of }) {
  const [measure, setMeasure] = useState('cpu');
  const shown = {
    cpu: { label: 'CPU, of one core', unit: 'ratio', line: { label: 'all processes', values: series.cpu,
        colour: '--accent', fill: true }, value: percent(of.cpu_ratio), note: 'of a core, busiest process' },
    memory: { label: 'Memory', unit: 'By', line: { label: 'all processes', values: series.memory_bytes,
        colour: '--accent', fill: true }, value: bytes(of.memory_bytes),
          note: of.memory_limit_bytes ? `of ${bytes(of.memory_limit_bytes)}` : '' },
    lag: { label: 'Lag of the event loop, p99', unit: 'ms', line: { label: 'p99', values: series.lag_p99_ms,
        colour: '--accent', fill: true }, value: duration(of.lag_p99_ms), note: 'p99' },
  }[measure];
  const extra = [of.threads !== null && `${count(of.threads)} threads`,
    of.gc_p99_ms !== null && `GC p99 ${duration(of.gc_p99_ms)}`].filter(Boolean);
  return html`<section class="signal"><header><h2>Saturation</h2>
        <${Segments} label="Measure" options=${MEASURES} value=${measure} onChoose=${setMeasure} />
    <p title=${extra.join(', ')}><b>${shown.value}</b> <span class="quiet">${shown.note}</span></p></header>
    <${Chart} key=${measure} label=${shown.label} time=${series.time} span=${span} unit=${shown.unit} height=${104}
        series=${[shown.line]} /></section>`;
}

const SINCE = [
  ['hour', 'Since an hour ago'],
  ['start', 'Since the last start'],
];

const HOURS = 7000; // s; a longer range has an hour and the one before it inside
const CALM = { hour: 'Much as in the hour before.', start: 'Much as before the last start.' };

/** `compared`: whether the hub knows of an hour before. */
function Changed({ changes, compared }) {
  const [since, setSince] = useState('hour');
  const items = changes[since] ?? [];
  return html`<${Panel} title="What changed" actions=${html`<${Segments} label="Since when" options=${SINCE}
        value=${since} onChoose=${setSince} />`}>
    ${items.length ? html`<${Changes} items=${items} />` : html`<p class="calm">
          ${compared && html`<${Icon} name="good" /> `}${compared ? CALM[since]
            : 'The hub does not know of an hour before yet.'}</p>`}
  </${Panel}>`;
}

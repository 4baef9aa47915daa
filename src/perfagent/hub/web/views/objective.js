/** One objective: how its error budget went down, how fast it burns, and what spent it. */

import { useData } from '../core/data.js';
import { ago, count, duration, full, when } from '../core/format.js';
import { html } from '../core/html.js';
import { link, safeLink } from '../core/route.js';
import { line } from '../core/text.js';
import { Chart } from '../parts/chart.js';
import { Figure, Figures, Share } from '../parts/figure.js';
import { budget, Burn, left, ObjectiveState, share } from '../parts/objectives.js';
import { Severity } from '../parts/severity.js';
import { Empty } from '../parts/states.js';
import { Table } from '../parts/table.js';
import { Panel, View } from '../parts/view.js';

export default function ObjectiveView({ subject }) {
  const source = useData(`objectives/${encodeURIComponent(subject)}`);
  return html`<${View} name="objective" title=${line(subject, 80)} crumbs=${[['Objectives', link(['objectives'])]]}
      source=${source}>${(data) => html`<${Content} one=${data} />`}</${View}>`;
}

function Content({ one }) {
  const good = one.threshold_ms === null ? 'do not fail' : `take at most ${duration(one.threshold_ms)}`;
  const where = [one.service, one.route].filter(Boolean).map((text) => line(text, 80)).join(' ');
  return html`
    <p class="lead"><${ObjectiveState} state=${one.state} /> <span>${share(one.objective)} of the requests to ${where} ${good},
      over ${one.window_days} days.</span> <span class="quiet" title=${line(one.origin, 300)}>
      Counted by ${one.basis === 'histogram' ? 'the histogram of all requests' : 'the spans that are kept'}${
        one.known_days < one.window_days - 0.5 ? `, of which ${duration(one.known_days * 86_400_000)} are known` : ''}.</span></p>
    ${firstOfEach(one.firing).map((each) => html`<p key=${each.alert} class="notice ${each.severity === 'critical' ? 'bad'
        : 'warn'}"><${Severity} level=${each.severity} /> ${burns(each)}</p>`)}
    <${Figures}>
      <${Figure} name="Budget left" value=${budget(one.budget_remaining_percent)}
        tone=${one.state === 'spent' ? 'bad' : one.state === 'burning' ? 'warn' : ''} />
      <${Figure} name="Good" value=${share(one.attained_percent)} note=${`of ${share(one.objective)}`} />
      <${Figure} name="Bad requests" value=${count(one.bad)} note=${`of ${count(one.budget_requests)} allowed`} />
      <${Figure} name="Requests" value=${count(one.requests)} />
      <${Figure} name="Minutes left" value=${one.budget_minutes_left === null ? '–' : duration(Math.abs(one.budget_minutes_left) * 60_000)}
        note=${`${one.budget_minutes_left < 0 ? 'too many, ' : ''}of ${duration(one.budget_minutes * 60_000)}`} title="Were all requests bad at a time" />
      <${Figure} name="Gone" value=${one.forecast.at === null ? (one.state === 'spent' ? 'already' : 'not at this speed')
        : left(one.forecast.at)} title=${one.forecast.basis} />
    </${Figures}>
    <p class="quiet forecast">${one.forecast.basis.charAt(0).toUpperCase()}${one.forecast.basis.slice(1)}.</p>
    ${one.requests === 0 ? html`<${Empty} icon="idle" title="No requests in the window">
        <p>As soon as ${line(one.service, 60)} answers any, they count.</p></${Empty}>` : html`<${Spending} one=${one} />`}`;
}

const firstOfEach = (firing) => firing.filter((one, at) => firing.findIndex((other) => other.alert === one.alert) === at);
const burns = (one) => `Burns ${Number(one.burn_rate.toPrecision(3))} times as fast as allowed (${one.window}); from ${
  Number(one.limit.toPrecision(3))} times on it alerts.`;

function Spending({ one }) {
  const now = Date.now() / 1000;
  const times = one.left.map(([time]) => Math.min(time, now));
  const span = [Math.min(times[0] ?? now, now - 3600), now];
  const marks = one.releases.map((release) => ({ time: release.time, label: release.version }));
  return html`
    <${Panel} title="What was left" wide=${true} note="of the budget of the whole window">
      <${Chart} label="Error budget left" unit="%" span=${span} time=${times} top=${100} height=${180} marks=${marks}
        series=${[{ label: 'Left', colour: '--accent', fill: true,
          values: one.left.map(([, share]) => (share === null ? null : Math.max(0, share))) }]} /></${Panel}>
    <div class="columns">
      <${BurnRates} one=${one} />
      <${Panel} title="When it was spent">${one.events.length ? html`<${Table} caption="When it was spent" columns=${EVENTS}
          rows=${one.events} id=${(event) => event.since} />`
        : html`<p class="quiet">No hour has spent 2 % of it or more.</p>`}</${Panel}>
    </div>
    <${Panel} title="What spent it" note=${one.endpoints.length ? '' : 'nothing yet'}>${one.endpoints.length > 0
      && html`<${Table} caption="What spent it" columns=${ENDPOINTS} rows=${one.endpoints}
        id=${(each) => `${each.method} ${each.route}`} href=${(each) => safeLink(each.link)} primary=${true} />`}</${Panel}>
    ${one.causes.length > 0 && html`<${Panel} title="What failed" note="of the traces that are still kept">
      <${Table} caption="What failed" columns=${CAUSES} rows=${one.causes} href=${(cause) => link(['traces', cause.trace_id])}
        id=${(cause) => `${cause.endpoint} ${cause.error} ${cause.place} ${cause.message}`} /></${Panel}>`}`;
}

function BurnRates({ one }) {
  const columns = [
    { key: 'window', label: 'Windows', grow: true, cell: (row) => `${row.long} and ${row.short}` },
    { key: 'long', label: 'Burns', right: true,
      cell: (row) => html`<${Burn} rate=${one.burn_rates[row.long]} limit=${row.limit} />` },
    { key: 'short', label: 'Now', right: true,
      cell: (row) => html`<${Burn} rate=${one.burn_rates[row.short]} limit=${row.limit} />` },
    { key: 'limit', label: 'Told from', right: true, cell: (row) => html`<span class="quiet">${row.possible
      ? `${Number(row.limit.toPrecision(3))}\u00d7` : 'never'}</span>` },
    { key: 'severity', label: 'As', cell: (row) => html`<${Severity} level=${row.severity} />` },
  ];
  return html`<${Panel} title="Burn rates" note="1× spends the budget exactly in its window">
    <${Table} caption="Burn rates" columns=${columns} rows=${one.lines} id=${(row) => row.long} /></${Panel}>`;
}

const EVENTS = [
  { key: 'since', label: 'When', grow: true,
    cell: (event) => html`<time title=${full(event.since)}>${when(event.since)}</time>
      <span class="quiet"> for ${duration((event.until - event.since) * 1000)}</span>` },
  { key: 'bad', label: 'Bad', right: true, cell: (event) => count(event.bad) },
  { key: 'requests', label: 'Requests', right: true, wide: true, cell: (event) => count(event.requests) },
  { key: 'spent', label: 'Of the budget', right: true,
    cell: (event) => html`<${Share} ratio=${event.spent_percent / 100} tone="warn">${budget(event.spent_percent)}</${Share}>` },
];

const ENDPOINTS = [
  { key: 'route', label: 'Endpoint', grow: true,
    cell: (each) => html`<span class="name">${line(`${each.method} ${each.route}`.trim() || 'no route', 120)}</span>` },
  { key: 'bad', label: 'Bad', right: true, cell: (each) => count(each.bad) },
  { key: 'requests', label: 'Requests', right: true, wide: true, cell: (each) => count(each.requests) },
  { key: 'codes', label: 'Answered', wide: true, cell: (each) => html`<span class="quiet">
      ${each.codes.map((code) => `${count(code.bad)} with ${line(code.code, 10)}`).join(', ')}</span>` },
  { key: 'spent', label: 'Of the budget', right: true,
    cell: (each) => html`<${Share} ratio=${each.spent_percent / 100} tone="warn">${budget(each.spent_percent)}</${Share}>` },
];

const CAUSES = [
  { key: 'error', label: 'Failure', grow: true,
    cell: (cause) => html`<span class="name">${line(cause.error, 80)}</span>
      <span class="below" title=${line(cause.message, 300)}>${line(cause.message, 160)}</span>` },
  { key: 'endpoint', label: 'Endpoint', wide: true, cell: (cause) => line(cause.endpoint, 80) },
  { key: 'place', label: 'Where it began', wide: true, cell: (cause) => line(cause.place || 'the request itself', 80) },
  { key: 'requests', label: 'Requests', right: true, cell: (cause) => count(cause.requests) },
  { key: 'last', label: 'Last', right: true, cell: (cause) => html`<time title=${full(cause.last)}>${ago(cause.last)}</time>` },
];

/** Endpoints and queries as tables; short on the overview, whole in their own views. */

import { count, duration, mean, percent, rate } from '../core/format.js';
import { html } from '../core/html.js';
import { link } from '../core/route.js';
import { line } from '../core/text.js';
import { Share } from './figure.js';
import { Icon } from './icon.js';
import { Name, Place } from './names.js';
import { Spark } from './spark.js';
import { Table } from './table.js';

const ENDPOINT = {
  name: { key: 'name', label: 'Endpoint', grow: true, rising: true, server: true, value: (one) => one.name,
    cell: (one) => html`<${Name} name=${one.name} service=${one.service} />` },
  spark: { key: 'spark', label: 'Calls', wide: true, cell: (one) => html`<${Spark} values=${one.spark} />` },
  requests: { key: 'requests', label: 'Requests', right: true, wide: true, server: true, value: (one) => one.requests,
    cell: (one) => count(one.requests) },
  rate: { key: 'rate', label: 'Rate', right: true, value: (one) => one.requests_per_second,
    cell: (one) => rate(one.requests_per_second) },
  errors: { key: 'errors', label: 'Errors', right: true, server: true, value: (one) => one.errors,
    cell: (one) => html`<${Errors} ratio=${one.error_ratio} errors=${one.errors} />` },
  p50: { key: 'p50', label: 'p50', right: true, wide: true, value: (one) => one.p50_ms,
    cell: (one) => duration(one.p50_ms) },
  p95: { key: 'p95', label: 'p95', right: true, server: true, value: (one) => one.p95_ms,
    cell: (one) => duration(one.p95_ms) },
  p99: { key: 'p99', label: 'p99', right: true, wide: true, value: (one) => one.p99_ms,
    cell: (one) => duration(one.p99_ms) },
  total: { key: 'total', label: 'Share of time', right: true, wide: true, server: true,
    title: 'Share of all time that requests took', value: (one) => one.total_ms,
      cell: (one) => html`<${Share} ratio=${one.share}>${percent(one.share)}</${Share}>` },
};

function Errors({ ratio, errors }) {
  if (!errors) return html`<span class="quiet">0\u00a0%</span>`;
  return html`<span class=${ratio >= 0.01 ? 'bad' : ''} title=${`${count(errors)} failed`}>
      ${ratio >= 0.05 && html`<${Icon} name="critical" size=${13} />`} ${percent(ratio)}</span>`;
}

/** @param {string[]} show keys of the columns, else all */
export function Endpoints({ items, caption, show = Object.keys(ENDPOINT), sorted, list, primary }) {
  return html`<${Table} caption=${caption} columns=${show.map((key) => ENDPOINT[key])} rows=${items}
      id=${(one) => one.operation} href=${(one) => link(['endpoints', one.operation])} sorted=${sorted} list=${list}
        primary=${primary} />`;
}

const QUERY = {
  name: { key: 'name', label: 'Query', grow: true, cell: (one) => html`<${QueryName} of=${one} />` },
  system: { key: 'system', label: 'System', wide: true,
    cell: (one) => html`<span class="quiet">${line(one.system, 30)}</span>` },
  calls: { key: 'calls', label: 'Calls', right: true, server: true, value: (one) => one.calls,
    cell: (one) => count(one.calls) },
  mean: { key: 'mean', label: 'Mean', right: true, wide: true, server: true, value: (one) => one.mean_ms,
    cell: (one) => duration(one.mean_ms) },
  p95: { key: 'p95', label: 'p95', right: true, server: true, value: (one) => one.p95_ms,
    cell: (one) => duration(one.p95_ms) },
  rows: { key: 'rows', label: 'Rows/call', right: true, wide: true, server: true, value: (one) => one.rows_per_call,
    cell: (one) => mean(one.rows_per_call) },
  repeated: { key: 'repeated', label: 'In one trace', right: true, wide: true,
    title: 'Most calls of it within one trace', value: (one) => one.repeated,
      cell: (one) => html`<${Times} times=${one.repeated} />` },
  callers: { key: 'callers', label: 'Called from', wide: true, cell: (one) => html`<${Callers} of=${one.callers} />` },
  total: { key: 'total', label: 'Share of time', right: true, server: true,
    title: 'Share of all time that queries took', value: (one) => one.total_ms,
      cell: (one) => html`<${Share} ratio=${one.share}>
          <span title=${`${duration(one.total_ms)} in all`}>${percent(one.share)}</span></${Share}>` },
};

function QueryName({ of: { summary, text } }) {
  const first = line(summary || text, 120) || '(no text)';
  const second = text && text !== summary ? line(text, 200) : '';
  return html`<span class="query-name"><bdi>${first}</bdi>
      ${second && html`<code title=${line(text, 600)}>${second}</code>`}</span>`;
}

/** How often within one trace; marked from ten on, where a loop is likely. */
export function Times({ times }) {
  if (!times || times < 2) return html`<span class="quiet">once</span>`;
  return times >= 10 ? html`<span class="warn"><${Icon} name="repeat" size=${13} /> ${count(times)}×</span>`
    : `${times}×`;
}

function Callers({ of }) {
  if (!of?.length) return html`<span class="quiet">unknown</span>`;
  return html`<span class="callers"><${Place} caller=${of[0].caller} />
      ${of.length > 1 && html`<span class="quiet" title=${`${of.length - 1} more places`}>+${of.length - 1}</span>`}
      </span>`;
}

/** The same for queries. */
export function Queries({ items, caption, show = Object.keys(QUERY), sorted, list, primary }) {
  return html`<${Table} caption=${caption} columns=${show.map((key) => QUERY[key])} rows=${items}
      id=${(one) => one.operation} href=${(one) => link(['queries', one.operation])} sorted=${sorted} list=${list}
        primary=${primary} />`;
}

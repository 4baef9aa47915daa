/** One source: how it is, and what it saw when it looked last, a table for each kind of that. */

import { useData, useFilters } from '../core/data.js';
import { ago, bytes, count, duration, full, percent, rate, whole } from '../core/format.js';
import { html } from '../core/html.js';
import { link } from '../core/route.js';
import { line } from '../core/text.js';
import { Figure, Figures } from '../parts/figure.js';
import { SourceHealth } from '../parts/sources.js';
import { Sql } from '../parts/sql.js';
import { Table } from '../parts/table.js';
import { Panel, View } from '../parts/view.js';

const seconds = (value) => (value === null || value === undefined ? '' : duration(value * 1000));
const text = (key, label, more = {}) => ({ key, label, cell: (one) => line(one[key], 120), ...more });
const number = (key, label, show = whole, more = {}) => ({ key, label, right: true, cell: (one) => show(one[key]), ...more });
const statement = (key, label, more = {}) => ({ key, label, cell: (one) => html`<${Sql} text=${line(one[key], 200)} />`, ...more });
const table = { key: 'table', label: 'Table', grow: true,
  cell: (one) => line(one.schema ? `${one.schema}.${one.table}` : one.table, 100) };

/** For each kind its title and columns; the first leads. */
const SEEN = {
  Blocked: ['Who blocks whom', [
    statement('statement', 'Waits', { grow: true }),
    number('seconds', 'For', seconds),
    number('blocked', 'Process', String),
    { key: 'by', label: 'Blocked by', right: true,
      cell: (one) => html`${String(one.blocker)}${one.root !== one.blocker && html` <span class="quiet">← ${String(one.root)}</span>`}` },
    text('blocking_state', 'Which is', { wide: true }),
    statement('blocking_statement', 'It ran last', { wide: true }),
    text('relation', 'Table', { wide: true }),
  ]],
  LongTransaction: ['Long transactions', [
    statement('statement', 'Last statement', { grow: true }),
    number('seconds', 'Lasts', seconds), number('idle_seconds', 'Idle for', seconds), number('pid', 'Process', String),
    text('state', 'State', { wide: true }), text('application', 'Application', { wide: true }),
  ]],
  SlowStatement: ['Heaviest statements', [
    statement('statement', 'Statement', { grow: true }),
    number('mean_ms', 'Mean', duration), number('calls', 'Calls', count), number('total_ms', 'Together', duration),
    number('share', 'Of the time', percent, { wide: true }), number('rows', 'Rows', count, { wide: true }),
  ]],
  Deadlocks: ['Deadlocks', [text('database', 'Database', { grow: true }), number('count', 'Broken', count),
    number('seconds', 'Within', seconds)]],
  DeadTuples: ['Dead rows', [
    table, number('dead', 'Dead', count), number('live', 'Live', count), number('bytes', 'Size', bytes),
    { key: 'last', label: 'Last vacuum', right: true, cell: (one) => (one.last_vacuum === null ? 'never' : ago(one.last_vacuum)) },
  ]],
  UnusedIndex: ['Unused indexes', [
    { key: 'index', label: 'Index', grow: true, cell: (one) => line(one.index, 100) }, text('table', 'Table'),
    number('bytes', 'Size', bytes), number('writes', 'Writes to keep up', count),
  ]],
  SequentialScans: ['Large tables read whole', [
    table, number('scans', 'Scans', count), number('rows_read', 'Rows read', count), number('rows', 'Rows', count),
    number('index_scans', 'By index', count, { wide: true }),
  ]],
  Replica: ['Replicas', [
    { key: 'name', label: 'Replica', grow: true, cell: (one) => line(one.name || 'this one', 80) }, text('state', 'State'),
    number('lag_seconds', 'Behind', seconds), number('lag_bytes', 'Behind by', bytes),
  ]],
  HotKey: ['Hot keys', [text('key', 'Key', { grow: true }), number('share', 'Of the uses', percent), number('keys', 'Keys', count),
    number('bytes', 'Largest', bytes)]],
  EndpointUse: ['Endpoints', [
    text('endpoint', 'Endpoint', { grow: true }), text('service', 'Service'), number('per_second', 'Rate', rate),
    number('p50_ms', 'p50', duration), number('p95_ms', 'p95', duration), number('p99_ms', 'p99', duration),
    number('error_ratio', 'Failed', percent), number('response_bytes', 'Answer', bytes, { wide: true }),
  ]],
  CacheUse: ['Caches', [
    text('cache', 'Cache', { grow: true }), text('service', 'Service'), number('hit_ratio', 'Hit', percent),
    number('lookups', 'Look-ups', count), number('evictions', 'Evicted', count),
  ]],
};

export default function DatabaseView({ subject }) {
  const { from, to } = useFilters();
  const source = useData(`sources/${encodeURIComponent(subject)}`, { from, to });
  return html`<${View} name="database" title=${line(subject, 80)} source=${source}
      crumbs=${[['Databases', link(['databases'])]]}>${(data) => html`<${Content} data=${data} />`}</${View}>`;
}

function Content({ data }) {
  const { source, attributes, seen } = data;
  const of = (kind) => seen.find((one) => one.kind === kind)?.items ?? [];
  const [pool] = of('PoolUse');
  const [memory] = of('MemoryUse');
  const [probe] = of('Probe');
  const shown = Object.keys(SEEN).filter((kind) => of(kind).length);
  return html`
    ${source.detail && html`<p class="notice warn">${line(source.detail, 600)}</p>`}
    <${Figures}>
      <${Figure} name="Health" value=${html`<${SourceHealth} state=${source.health} />`} />
      <${Figure} name="Version" value=${line(attributes['service.version'] ?? '–', 40)} />
      <${Figure} name="Last look" value=${ago(source.last_collected)} title=${full(source.last_collected)}
          note=${source.duration_ms === null ? '' : `took ${duration(source.duration_ms)}`} />
      ${pool && html`<${Figure} name="Connections" value=${whole(pool.used)} note=${`of ${whole(pool.limit)}`}
          title=${Object.entries(pool.states).map(([state, number]) => `${state}: ${number}`).join(', ')}
            tone=${pool.used > 0.8 * pool.limit ? 'warn' : ''} />`}
      ${pool && html`<${Figure} name="Waiting" value=${whole(pool.waiting)} tone=${pool.waiting ? 'warn' : ''} />`}
      ${memory && html`<${Figure} name="Memory" value=${bytes(memory.used)}
          note=${memory.limit ? `of ${bytes(memory.limit)}` : ''} />
        <${Figure} name="Hit" value=${percent(memory.hit_ratio)} />
        <${Figure} name="Evicted" value=${count(memory.evicted)} tone=${memory.evicted ? 'warn' : ''} />`}
      ${probe && html`<${Figure} name="Answer" value=${probe.status ?? 'none'} tone=${probe.ok ? '' : 'bad'} />
        <${Figure} name="Took" value=${duration(probe.ms)} />`}
    </${Figures}>
    ${shown.map((kind) => html`<${Panel} key=${kind} title=${SEEN[kind][0]}>
        <${Table} caption=${SEEN[kind][0]} columns=${SEEN[kind][1]} rows=${of(kind)} id=${(one) => JSON.stringify(one)} />
      </${Panel}>`)}
    ${!shown.length && html`<p class="quiet">Nothing waits, and nothing stands out. Its figures are among the
        ${' '}<a href=${link(['metrics'], { service: source.name })}>metrics</a>.</p>`}`;
}

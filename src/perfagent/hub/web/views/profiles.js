/** Profiles: which functions and lines the time goes to, of a service, a request, a release; and what has changed. */

import { address } from '../core/api.js';
import { useCell } from '../core/cell.js';
import { useData, useFilters } from '../core/data.js';
import { flameOf } from '../core/flame.js';
import { count, duration, percent } from '../core/format.js';
import { html, useMemo } from '../core/html.js';
import { link, route, setQuery } from '../core/route.js';
import { line } from '../core/text.js';
import { ChoiceFilter, Chips, SegmentFilter, Segments, TextFilter } from '../parts/fields.js';
import { Figure, Figures, Share } from '../parts/figure.js';
import { amount, Flame } from '../parts/flame.js';
import { Detail } from '../parts/detail.js';
import { Empty } from '../parts/states.js';
import { Table } from '../parts/table.js';
import { Panel, View } from '../parts/view.js';

const TYPES = { wall: 'Wall clock', cpu: 'CPU', lock: 'Locks', gil: 'Interpreter lock', alloc: 'Allocations' };
const LABELS = [['endpoint', 'Request', 'endpoints'], ['thread', 'Thread', 'threads'], ['task', 'Task', 'tasks'],
  ['state', 'State', 'states'], ['version', 'Release', 'versions'], ['instance', 'Process', 'processes']];

export default function ProfilesView() {
  const filters = useFilters();
  const { query } = useCell(route);
  const type = query.get('type') ?? 'wall';
  const chosen = Object.fromEntries(LABELS.map(([name]) => [name, query.get(name)]));
  const params = { ...filters, type, ...chosen, before: query.get('before'), trace_id: query.get('trace') };
  const choices = useData('profiles', { ...filters, type });
  const source = useData('profiles/tree', { ...params, most: 5000 });
  const types = choices.data?.types ?? [];
  const known = [...new Set([...types.map((one) => one.type), type])];
  return html`<${View} name="profiles" title="Profiles" source=${source}
      actions=${html`<${Detail} service=${filters.service} instance=${chosen.instance} />
        <${Files} params=${params} />`}>
    ${(data) => html`<div class="filters">
        <${SegmentFilter} name="type" label="What is summed" options=${['wall', ...known.filter((one) => one !== 'wall')]
          .map((one) => [one, TYPES[one] ?? line(one, 20)])} />
        ${LABELS.map(([name, label, from]) => html`<${Labels} key=${name} name=${name} label=${label}
            found=${choices.data?.[from] ?? []} />`)}
        <${TextFilter} name="before" kind="text" label="Compare with" placeholder="-2h..-1h, 2.3.0" />
      </div>
      ${query.get('trace') && html`<p class="filters"><${Chips} items=${[[`trace ${query.get('trace').slice(0, 8)}…`,
        () => setQuery({ trace: null })]]} /></p>`}
      ${data.nodes.parent.length ? html`<${Content} data=${data} params=${params} />`
        : html`<${Nothing} types=${types} type=${type} />`}`}</${View}>`;
}

/** A filter, where there is something to choose. */
function Labels({ name, label, found }) {
  const { query } = useCell(route);
  if (found.length < 2 && !query.get(name)) return null;
  return html`<${ChoiceFilter} name=${name} label=${label} options=${[['', 'all'], ...found.map((one) =>
    [one.value, line(one.value, 60)])]} />`;
}

function Nothing({ types, type }) {
  const others = types.filter((one) => one.type !== type).map((one) => TYPES[one.type] ?? one.type);
  return html`<${Empty} icon="profiles" title="No profile here">
    <p>${others.length ? `There is: ${others.join(', ')}.` : 'No process has sent a profile in this range.'}</p>
    <p class="quiet">perfagent's profiler is always on unless <code>PERFAGENT_PROFILER=false</code>. Any OpenTelemetry
      profiler can send to <code>${location.origin}/v1development/profiles</code>.</p></${Empty}>`;
}

function Content({ data, params }) {
  const flame = useMemo(() => flameOf(data), [data]);
  const { now, before, unit } = data;
  const a = data.per === 'request' ? 'a request' : 'a second';
  const mean = (side) => (data.per === 'request' ? side.total / side.requests : side.total / (side.seconds || 1));
  const per = (side) => (side.total && Number.isFinite(mean(side)) ? `${amount(mean(side), unit)} ${a}` : '');
  return html`<${Figures}>
      <${Figure} name=${before ? 'Now' : 'In all'} value=${amount(now.total, unit)} note=${per(now)} />
      ${before && html`<${Figure} name="Before" value=${amount(before.total, unit)}
          note=${`${line(before.label, 40)}, as much as ${data.per === 'request' ? `${count(now.requests)} requests`
            : `${duration(now.seconds * 1000)}`} would take`} />`}
      <${Figure} name="Samples" value=${count(now.samples)} /><${Figure} name="Processes" value=${count(now.processes)} />
      ${now.requests >= 1 && html`<${Figure} name="Requests" value=${count(now.requests)} />`}
    </${Figures}>
    ${data.left_out && html`<p class="quiet">The ${count(data.nodes.parent.length)} largest functions are shown.</p>`}
    <${Flame} flame=${flame} unit=${unit} per=${now} compared=${before !== null}
        label="Flame graph: arrow keys go from function to function, Enter fills the width" />
    <${Tops} params=${params} unit=${unit} whole=${now.total} compared=${before !== null} />`;
}

function Tops({ params, unit, whole, compared }) {
  const { query } = useCell(route);
  const by = query.get('by') ?? 'functions';
  const source = useData(`profiles/${by}`, { ...params, most: 100 });
  const items = source.data?.items ?? [];
  const most = Math.max(whole, 1e-9);
  const columns = [
    { key: 'name', label: by === 'lines' ? 'Line' : 'Function', grow: true, value: (one) => one.name, rising: true,
      cell: (one) => html`<span class="query-name"><bdi>${line(one.name, 120)}</bdi>
        <code>${line(one.file, 200)}${one.line ? `:${one.line}` : ''}</code></span>` },
    { key: 'self', label: 'Itself', right: true, value: (one) => one.self,
      cell: (one) => html`<${Share} ratio=${one.self / most}>${amount(one.self, unit)}</${Share}>` },
    { key: 'share', label: 'Share', right: true, wide: true, cell: (one) => percent(one.self / most) },
    { key: 'total', label: 'With calls', right: true, value: (one) => one.total, cell: (one) => amount(one.total, unit) },
  ];
  if (compared) {
    columns.push({ key: 'change', label: 'Change', right: true, value: (one) => one.self - one.before_self,
      cell: (one) => html`<span class=${one.self > one.before_self * 1.03 ? 'bad' : ''}>${one.self >= one.before_self
        ? '+' : '−'}${amount(Math.abs(one.self - one.before_self), unit)}</span>` });
  }
  return html`<${Panel} title="What takes the time" actions=${html`<${Segments} label="Functions or lines"
      options=${[['functions', 'Functions'], ['lines', 'Lines']]} value=${by}
        onChoose=${(value) => setQuery({ by: value === 'functions' ? null : value })} />`}>
    <${Table} caption="Functions and lines that take the time" columns=${columns} rows=${items}
      id=${(one) => `${one.id} ${one.line}`} sorted="self" primary=${true}
      href=${(one) => link(['profiles'], { ...keptQuery(query), find: one.name })} /></${Panel}>`;
}

const keptQuery = (query) => Object.fromEntries([...query].filter(([key]) => key !== 'find'));

/** The same profile as a file of other tools. */
function Files({ params }) {
  const files = [['speedscope', 'speedscope'], ['pprof', 'pprof'], ['collapsed', 'Collapsed stacks'], ['otlp', 'OTLP']];
  return html`<details class="files"><summary class="button">Download</summary><ul class="popover">
    ${files.map(([format, text]) => html`<li key=${format}><a class="button ghost" download
        href=${address('profiles/export', { ...params, format })}>${text}</a></li>`)}</ul></details>`;
}

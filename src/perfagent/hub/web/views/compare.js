/** Compare: two versions, starts or ranges of time side by side, what got worse first, and how sure that is. */

import { useData, useFilters } from '../core/data.js';
import { bytes, count, duration, percent, when } from '../core/format.js';
import { useCell } from '../core/cell.js';
import { html } from '../core/html.js';
import { route, safeLink } from '../core/route.js';
import { line, plain } from '../core/text.js';
import { ChoiceFilter } from '../parts/fields.js';
import { Service } from '../parts/names.js';
import { Empty } from '../parts/states.js';
import { Table } from '../parts/table.js';
import { View } from '../parts/view.js';

const RANGES = [
  ['-2h..-1h', 'The hour before the last'], ['-1h..now', 'The last hour'],
  ['-25h..-24h', 'An hour, a day ago'], ['-48h..-24h', 'The day before the last'], ['-24h..now', 'The last day'],
  ['before-start', 'Before the last start'], ['start', 'Since the last start'],
];
const WORDS = { worse: 'bad', better: 'good', unclear: 'warn' };

const figure = (value, unit) => value === null ? html`<span class="quiet">–</span>`
  : unit === 'By' ? bytes(value) : unit === 'ratio' ? percent(value)
  : unit.startsWith('ms') ? duration(value) : value.toFixed(2);
const MANY = 100; // times: a larger bound only says that the other side hardly has one
const change = (value, unit) => value === null ? '' : value >= MANY ? `+${MANY} times and more`
  : `${value > 0 ? '+' : ''}${(value * 100).toFixed(Math.abs(value) < 0.1 ? 1 : 0)}${unit === 'ratio' ? ' points' : ' %'}`;

const COLUMNS = [
  { key: 'name', label: 'What', grow: true, cell: (one) => html`<span class="name" title=${plain(one.name).slice(0, 400)}>
    <bdi>${line(one.name || one.kind, 120)}</bdi></span><span class="name quiet">${one.kind}</span>` },
  { key: 'figure', label: 'Figure', cell: (one) => one.figure },
  { key: 'before', label: 'Before', right: true, wide: true, cell: (one) => figure(one.before, one.unit) },
  { key: 'after', label: 'After', right: true, wide: true, cell: (one) => figure(one.after, one.unit) },
  { key: 'change', label: 'Change', right: true, title: 'The true change is in the brackets 19 of 20 times',
    cell: (one) => one.change === null ? html`<span class="quiet">too little data</span>`
      : html`<strong class=${WORDS[one.verdict]}>${change(one.change, one.unit)}</strong>${one.low !== null
        && html`<span class="name quiet wide">${change(one.low, one.unit)} … ${change(one.high, one.unit)}</span>`}` },
  { key: 'certainty', label: 'Certainty', right: true, wide: true,
    cell: (one) => one.certainty === null ? '' : one.certainty > 0.999 ? '> 99.9 %' : percent(one.certainty) },
  { key: 'verdict', label: 'Verdict', wide: true, cell: (one) => html`<span class=${WORDS[one.verdict] ?? 'quiet'}>${one.verdict === 'few'
      ? 'too little data' : one.verdict}</span>` },
  { key: 'service', label: 'Service', wide: true, cell: (one) => html`<${Service} name=${one.service} />` },
];

export default function CompareView() {
  const { query } = useCell(route);
  const { service } = useFilters();
  const known = useData('processes', { from: '-24h', limit: 200 }, false);
  const versions = [...new Set((known.data?.items ?? []).filter((one) => one.version)
    .map((one) => `${one.service}@${one.version}`))].map((one) => [one, one]);
  const before = query.get('before') || RANGES[0][0];
  const after = query.get('after') || RANGES[1][0];
  const found = useData('compare', { before, after, service }, false);
  const others = RANGES.filter(([value]) => value !== RANGES[1][0]);
  return html`<${View} name="compare" title="Compare" source=${found} actions=${html`
    <${ChoiceFilter} name="before" label="Before" options=${[...others, ...versions]} />
    <${ChoiceFilter} name="after" label="After" options=${[RANGES[1], ...RANGES.filter(([value]) =>
        value !== RANGES[1][0]), ...versions]} />`}>${() => html`<${Told} found=${found.data} />`}</${View}>`;
}

function Told({ found }) {
  if (found.verdict === 'nothing') return html`<${Empty} title="Nothing can be compared">
    <p>No figure has enough data on both sides: at least 30 calls, over 8 stretches of time.</p></${Empty}>`;
  const told = { worse: 'Worse', better: 'Better', same: 'No certain difference' }[found.verdict];
  return html`<p class="notice"><strong class=${WORDS[found.verdict]}>${told}</strong> in latency or memory by more than
      ${' '}${percent(found.tolerance)}: ${line(found.before.label, 60)} (${count(found.before.requests)} requests from
      ${' '}<time>${when(found.before.begin)}</time>) and ${line(found.after.label, 60)}
      ${' '}(${count(found.after.requests)} requests from <time>${when(found.after.begin)}</time>).</p>
    <${Table} caption="Differences" columns=${COLUMNS} rows=${found.differences} primary
      id=${(one) => [one.service, one.kind, one.name, one.figure].join(' ')} href=${(one) => safeLink(one.link)} />
    <p class="quiet">${count(found.tested)} figures were tested; of the differences that are told, at most
      ${' '}${percent(found.false_discovery_rate)} are chance.</p>
    ${found.notes.map((note) => html`<p class="quiet">${line(note, 300)}</p>`)}`;
}

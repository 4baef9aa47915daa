/** Sources: how each is, and the zone of the machine that decides which of them go on. */

import { useData } from '../core/data.js';
import { ago, duration, full, percent, whole } from '../core/format.js';
import { html } from '../core/html.js';
import { link } from '../core/route.js';
import { line } from '../core/text.js';
import { Icon } from './icon.js';
import { Table } from './table.js';
import { Panel } from './view.js';

const STATES = {
  healthy: ['good', 'good', 'Healthy'],
  degraded: ['high', 'warn', 'Degraded'],
  failing: ['critical', 'bad', 'Failing'],
  silent: ['idle', 'warn', 'Silent'],
  off: ['idle', 'quiet', 'Off'],
};
const ZONES = {
  green: ['good', 'good', 'Green'],
  yellow: ['medium', 'warn', 'Yellow'],
  orange: ['high', 'warn', 'Orange'],
  red: ['critical', 'bad', 'Red'],
  critical: ['critical', 'bad', 'Critical'],
};
const OUTSIDE = ['agent', 'opentelemetry', 'prometheus', 'jaeger'];

function Mark({ states, name }) {
  const [icon, tone, word] = states[name] ?? ['idle', 'quiet', 'Unknown'];
  return html`<span class="mark ${tone}"><${Icon} name=${icon} /><span>${word}</span></span>`;
}

/** Healthy, Degraded, Failing, Silent or Off. */
export const SourceHealth = ({ state }) => html`<${Mark} states=${STATES} name=${state} />`;

/** Green, Yellow, Orange, Red or Critical. */
export const Zone = ({ name }) => html`<${Mark} states=${ZONES} name=${name} />`;

const COLUMNS = [
  { key: 'name', label: 'Source', grow: true,
    cell: (one) => html`${line(one.name, 60)} ${one.detail && html`<span class="quiet">${line(one.detail, 160)}</span>`}` },
  { key: 'health', label: 'Health', cell: (one) => html`<${SourceHealth} state=${one.health} />` },
  { key: 'priority', label: 'Priority', wide: true, cell: (one) => one.priority },
  { key: 'every', label: 'Every', right: true, wide: true,
    cell: (one) => (one.interval_seconds === null ? '' : duration(one.interval_seconds * 1000)) },
  { key: 'last', label: 'Last', right: true,
    cell: (one) => html`<time title=${full(one.last_collected)}>${ago(one.last_collected)}</time>` },
  { key: 'took', label: 'Took', right: true, wide: true, cell: (one) => duration(one.duration_ms) },
  { key: 'points', label: 'Points', right: true, wide: true, cell: (one) => whole(one.points) },
];

/** What the hub collects by itself. */
export function Sources() {
  const { data } = useData('sources', { limit: 200 });
  if (!data) return null;
  const rows = data.items.filter((one) => !OUTSIDE.includes(one.kind));
  const { zone } = data;
  const used = [['CPU', zone.cpu], ['memory', zone.memory], ['CPU of the container', zone.container_cpu],
    ['memory of the container', zone.container_memory]].filter(([, share]) => share !== null);
  return html`<${Panel} title="What it collects itself" wide=${true}
      actions=${html`<a href=${link(['databases'])}>Databases</a>`}>
    <p>Zone of the machine: <${Zone} name=${zone.name} /> <span class="quiet">${used.map(([name, share]) =>
        `${percent(share)} of the ${name}`).join(', ')}${used.length ? ' in use' : 'not measured yet'}</span></p>
    ${data.problems.map((text) => html`<p key=${text} class="notice warn">${line(text, 400)}</p>`)}
    ${rows.length ? html`<${Table} caption="Sources of the hub" columns=${COLUMNS} rows=${rows} id=${(one) => one.name}
        href=${(one) => link(['databases', one.name])} />` : html`<p class="quiet">Nothing is collected.</p>`}</${Panel}>`;
}

/** Databases, caches and addresses that the hub asks itself: how each is, and what waits there for what. */

import { useData } from '../core/data.js';
import { ago, count, duration, full } from '../core/format.js';
import { html } from '../core/html.js';
import { link } from '../core/route.js';
import { line } from '../core/text.js';
import { SourceHealth } from '../parts/sources.js';
import { Command, Empty } from '../parts/states.js';
import { Table } from '../parts/table.js';
import { View } from '../parts/view.js';

const KINDS = ['postgresql', 'mysql', 'redis', 'http'];
const COLUMNS = [
  { key: 'name', label: 'Source', grow: true, value: (one) => one.name, rising: true,
    cell: (one) => html`<b>${line(one.name, 60)}</b> <span class="quiet">${line(one.instance, 80)}</span>` },
  { key: 'kind', label: 'Kind', wide: true, value: (one) => one.kind, rising: true, cell: (one) => one.kind },
  { key: 'health', label: 'Health', value: (one) => one.health, cell: (one) => html`<${SourceHealth} state=${one.health} />` },
  { key: 'last', label: 'Last', right: true, value: (one) => one.last_collected,
    cell: (one) => html`<time title=${full(one.last_collected)}>${ago(one.last_collected)}</time>` },
  { key: 'took', label: 'Took', right: true, wide: true, value: (one) => one.duration_ms,
    cell: (one) => duration(one.duration_ms) },
  { key: 'failures', label: 'Failures', right: true, wide: true, value: (one) => one.failures,
    cell: (one) => count(one.failures) },
];

export default function DatabasesView() {
  const source = useData('sources', { limit: 200 });
  return html`<${View} name="databases" title="Databases" source=${source}>${(data) => {
    const rows = data.items.filter((one) => KINDS.includes(one.kind));
    const told = rows.filter((one) => one.detail);
    return rows.length
      ? html`<${Table} caption="Databases, caches and addresses" columns=${COLUMNS} rows=${rows} id=${(one) => one.name}
            sorted="name" primary=${true} href=${(one) => link(['databases', one.name])} />
          ${told.map((one) => html`<p key=${one.name} class="notice warn"><b>${line(one.name, 60)}</b>: ${line(one.detail, 400)}</p>`)}`
      : html`<${Empty} icon="queries" title="The hub asks no database yet">
          <p>Declare one in perfagent.toml, or in a variable of the hub:</p>
          <p><${Command} text="PERFAGENT_SOURCES=postgresql://monitor@db/shop perfagent hub" /></p>
          <p class="quiet">It tells who blocks whom, slow statements, dead rows and unused indexes.</p></${Empty}>`;
  }}</${View}>`;
}

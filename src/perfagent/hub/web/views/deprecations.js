/** Deprecations: what the program calls that will be gone one day, with the lines that call it. */

import { useFilters, useList } from '../core/data.js';
import { ago, count, full } from '../core/format.js';
import { html } from '../core/html.js';
import { line } from '../core/text.js';
import { Place, Service } from '../parts/names.js';
import { Empty } from '../parts/states.js';
import { Table } from '../parts/table.js';
import { View } from '../parts/view.js';

const COLUMNS = [
  { key: 'what', label: 'Deprecated', grow: true, rising: true, value: (one) => one.what,
    cell: (one) => html`<span class="name" title=${line(one.what, 400)}><bdi>${line(one.what, 160)}</bdi></span>` },
  { key: 'library', label: 'Library', value: (one) => one.library,
    cell: (one) => html`${line(one.library, 40)} <span class="quiet">${line(one.version, 20)}</span>` },
  { key: 'place', label: 'Called from', value: (one) => one.file,
    cell: (one) => html`<${Place} file=${one.file} line=${one.line} name=${one.function} />` },
  { key: 'service', label: 'Service', wide: true, cell: (one) => html`<${Service} name=${one.service} />` },
  { key: 'calls', label: 'Calls', right: true, value: (one) => one.calls, cell: (one) => count(one.calls) },
  { key: 'first', label: 'First', right: true, wide: true, value: (one) => one.first_seen,
    cell: (one) => html`<time title=${full(one.first_seen)}>${ago(one.first_seen)}</time>` },
  { key: 'last', label: 'Last', right: true, wide: true, value: (one) => one.last_seen,
    cell: (one) => html`<time title=${full(one.last_seen)}>${ago(one.last_seen)}</time>` },
];

export default function DeprecationsView() {
  const list = useList('deprecations', { ...useFilters(), limit: 200 });
  return html`<${View} name="deprecations" title="Deprecations" source=${list}>${() => list.items.length
    ? html`<${Table} caption="Deprecated calls" columns=${COLUMNS} rows=${list.items}
        id=${(one) => `${one.service} ${one.what} ${one.file} ${one.line}`} sorted="calls" list=${list} />`
    : html`<${Empty} icon="good" title="No deprecated call was seen">
        <p>Calls of functions marked <code>@deprecated</code>, and every <code>DeprecationWarning</code>, appear here with the line that makes them.</p>
        </${Empty}>`}</${View}>`;
}

/** Deprecations: what the program calls that will be gone one day, and the lines to change, its own ones first. */

import { useFilters, useList } from '../core/data.js';
import { ago, count, full } from '../core/format.js';
import { html } from '../core/html.js';
import { line, plain } from '../core/text.js';
import { Service } from '../parts/names.js';
import { Empty } from '../parts/states.js';
import { Table } from '../parts/table.js';
import { View } from '../parts/view.js';

const OWN_FIRST = 1e15; // more than there can be calls

const COLUMNS = [
  { key: 'what', label: 'Deprecated', grow: true, rising: true, value: (one) => one.what,
    cell: (one) => html`<span class="name" title=${plain(one.message).slice(0, 400)}><bdi>${line(one.what, 160)}</bdi>
      </span>${one.message && html`<span class="name quiet">${line(one.message, 160)}</span>`}` },
  { key: 'place', label: 'Line to change', value: (one) => one.file,
    cell: (one) => html`<${Fix} one=${one} />` },
  { key: 'library', label: 'Library', wide: true, value: (one) => one.library,
    cell: (one) => one.library ? html`${line(one.library, 40)} <span class="quiet">${line(one.version, 20)}</span>`
      : one.own && html`<span class="quiet">the program</span>` },
  { key: 'service', label: 'Service', wide: true, cell: (one) => html`<${Service} name=${one.service} />` },
  { key: 'calls', label: 'Calls', right: true, title: "The program's own lines come first",
    value: (one) => one.calls + (one.own ? OWN_FIRST : 0), cell: (one) => count(one.calls) },
  { key: 'first', label: 'First', right: true, wide: true, value: (one) => one.first_seen,
    cell: (one) => html`<time title=${full(one.first_seen)}>${ago(one.first_seen)}</time>` },
  { key: 'last', label: 'Last', right: true, wide: true, value: (one) => one.last_seen,
    cell: (one) => html`<time title=${full(one.last_seen)}>${ago(one.last_seen)}</time>` },
];

export default function DeprecationsView() {
  const list = useList('deprecations', { ...useFilters(), limit: 200 });
  return html`<${View} name="deprecations" title="Deprecations" source=${list}>${() => list.items.length
    ? html`<${Table} caption="Deprecated calls" columns=${COLUMNS} rows=${list.items} sorted="calls" list=${list}
        id=${(one) => [one.service, one.what, one.file, one.line, one.warned_at, one.message].join(' ')} />`
    : html`<${Empty} icon="good" title="No deprecated call was seen">
        <p>Calls of functions marked <code>@deprecated</code>, and every <code>DeprecationWarning</code>, appear here with the line that makes them.</p>
        </${Empty}>`}</${View}>`;
}

/** The line of the program, else the library's that Python's warning blames; of a path its end. */
function Fix({ one }) {
  const where = one.file ? [one.file, one.line].filter(Boolean).join(':') : one.warned_at;
  if (!where) return html`<span class="quiet">unknown</span>`;
  const parts = plain(where).split('/');
  const short = parts.length > 3 ? `…/${parts.slice(-2).join('/')}` : parts.join('/');
  const told = one.own ? plain(where) : `${plain(where)}: the library's own line; a newer version may not have it`;
  return html`<span class="place" title=${told}><code>${line(short, 80)}</code> <span class="quiet wide">
    ${one.own ? line(one.function, 80) : 'in a library'}</span></span>`;
}

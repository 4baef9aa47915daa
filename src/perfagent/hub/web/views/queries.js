/** Queries: every statement that programs send to databases, by what they cost together. */

import { useCell } from '../core/cell.js';
import { useFilters, useList } from '../core/data.js';
import { html } from '../core/html.js';
import { route } from '../core/route.js';
import { ChoiceFilter, TextFilter } from '../parts/fields.js';
import { Queries } from '../parts/operations.js';
import { Empty, NothingHere } from '../parts/states.js';
import { sorting } from '../parts/table.js';
import { View } from '../parts/view.js';

const SORTS = ['total', 'calls', 'p95', 'mean', 'rows'];

export default function QueriesView() {
  const filters = useFilters();
  const { query } = useCell(route);
  const [by] = sorting(query, 'total');
  const [q, system] = [query.get('q'), query.get('system')];
  const list = useList('queries', { ...filters, q, system, sort: SORTS.includes(by) ? by : 'total', limit: 200 });
  const systems = [...new Set((list.items ?? []).map((one) => one.system))].filter(Boolean).sort();
  const actions = html`<${TextFilter} name="q" label="Search queries" placeholder="Search queries" />
    <${ChoiceFilter} name="system" label="System" hiddenLabel=${true}
      options=${[['', 'Every system'], ...systems.map((name) => [name, name])]} />`;
  return html`<${View} name="queries" title="Queries" source=${list} actions=${actions}>
    ${() => list.items.length
      ? html`<${Queries} caption="Queries" items=${list.items} sorted="total" list=${list} primary=${true} />`
      : q || system
        ? html`<${Empty} title="No query matches"><p>The search looks for a part of the statement or its summary.</p>
          </${Empty}>`
        : html`<${NothingHere} what="queries" icon="queries" />`}</${View}>`;
}

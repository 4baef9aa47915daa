/** Endpoints: every route, job and message that programs serve. */

import { useCell } from '../core/cell.js';
import { useFilters, useList } from '../core/data.js';
import { html } from '../core/html.js';
import { route } from '../core/route.js';
import { TextFilter } from '../parts/fields.js';
import { Endpoints } from '../parts/operations.js';
import { Empty, NothingHere } from '../parts/states.js';
import { sorting } from '../parts/table.js';
import { View } from '../parts/view.js';

const SORTS = ['total', 'p95', 'requests', 'errors', 'name'];

export default function EndpointsView() {
  const filters = useFilters();
  const { query } = useCell(route);
  const [by] = sorting(query, 'total');
  const q = query.get('q');
  const list = useList('endpoints', { ...filters, q, sort: SORTS.includes(by) ? by : 'total', limit: 200 });
  return html`<${View} name="endpoints" title="Endpoints" source=${list}
      actions=${html`<${TextFilter} name="q" label="Search endpoints" placeholder="Search endpoints" />`}>
    ${() => list.items.length
      ? html`<${Endpoints} caption="Endpoints" items=${list.items} sorted="total" list=${list} primary=${true} />`
      : q
        ? html`<${Empty} title="No endpoint has that in its name">
            <p>The search looks for a part of the name, such as <code>/orders</code>.</p></${Empty}>`
        : html`<${NothingHere} what="requests" icon="endpoints" />`}</${View}>`;
}

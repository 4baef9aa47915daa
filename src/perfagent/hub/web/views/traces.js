/** Traces: searched by endpoint, duration, outcome, attributes and text. */

import { useCell } from '../core/cell.js';
import { useFilters, useList } from '../core/data.js';
import { html, useState } from '../core/html.js';
import { route, setQuery } from '../core/route.js';
import { Chips, ChoiceFilter, SegmentFilter, TextFilter, ValueChips } from '../parts/fields.js';
import { Icon } from '../parts/icon.js';
import { Empty, NothingHere } from '../parts/states.js';
import { Dots, Traces } from '../parts/traces.js';
import { View } from '../parts/view.js';

const SINGLE = ['q', 'operation', 'route', 'min_ms', 'max_ms', 'status', 'code'];
const STATUS = [
  ['', 'All'],
  ['ok', 'OK'],
  ['error', 'Failed'],
];
const SORT = [
  ['recent', 'Newest first'],
  ['slowest', 'Slowest first'],
];
const MOST_ATTRIBUTES = 5; // the hub takes no more

export default function TracesView() {
  const filters = useFilters();
  const { query } = useCell(route);
  const chosen = Object.fromEntries(SINGLE.map((key) => [key, query.get(key)]));
  const attributes = query.getAll('attribute');
  const list = useList('traces', { ...filters, ...chosen, attribute: attributes, sort: query.get('sort'), limit: 100 });
  const filtered = attributes.length > 0 || SINGLE.some((key) => chosen[key]);
  return html`<${View} name="traces" title="Traces" source=${list.error?.field
      ? { ...list, data: list.data ?? { items: [] }, error: null } : list}>
    ${() => html`
      <${Filters} attributes=${attributes} operation=${chosen.operation} />
      ${list.error && html`<p class="notice warn" role="alert">${list.error.message}</p>`}
      ${list.items?.length
        ? html`<${Dots} items=${list.items} /><${Traces} caption="Traces" items=${list.items} list=${list}
            primary=${true} />`
        : filtered
          ? html`<${Empty} title="No trace matches"><p>Every filter must hold at once.</p>
              <p class="row-of-buttons"><button type="button" onClick=${clear}>Clear the filters</button></p>
              </${Empty}>`
          : html`<${NothingHere} what="traces" icon="traces" />`}`}</${View}>`;
}

function clear() {
  setQuery({ ...Object.fromEntries(SINGLE.map((key) => [key, null])), attribute: null, cursor: null }, true);
}

function Filters({ attributes, operation }) {
  return html`<div class="filters" role="search" aria-label="Traces">
    <${TextFilter} name="q" label="Search traces" placeholder="Name, route or trace id" />
    <${SegmentFilter} name="status" label="Outcome" options=${STATUS} />
    <${TextFilter} name="min_ms" label="from (ms)" kind="number" width="narrow" />
    <${TextFilter} name="max_ms" label="to (ms)" kind="number" width="narrow" />
    <${TextFilter} name="code" label="Status" kind="number" width="narrow" />
    <${ChoiceFilter} name="sort" label="Order" options=${SORT} hiddenLabel=${true} />
    <${AttributeFilter} attributes=${attributes} />
    ${operation && html`<${Chips} items=${[['one endpoint', () => setQuery({ operation: null, cursor: null })]]} />`}
  </div>`;
}

/** Attributes that must be equal, each a chip that can be taken away. */
function AttributeFilter({ attributes }) {
  const [wrong, setWrong] = useState('');
  const add = (event) => {
    event.preventDefault();
    const field = event.currentTarget.elements.attribute;
    if (!/^[^=]+=/.test(field.value)) return setWrong('An attribute is written key=value, such as http.request.method=GET.');
    setWrong('');
    setQuery({ attribute: [...new Set([...attributes, field.value.trim()])], cursor: null });
    field.value = '';
    return undefined;
  };
  return html`<form class="attribute-filter" onSubmit=${add}>
    ${attributes.length < MOST_ATTRIBUTES && html`<label class="field">
          <span class="unseen">Attribute, as key=value</span>
            <input name="attribute" placeholder="key=value" autocomplete="off" spellcheck=${false} /></label>
            <button type="submit"><${Icon} name="plus" size=${13} />Attribute</button>`}
    <${ValueChips} name="attribute" values=${attributes} />
    ${wrong && html`<p class="bad" role="alert">${wrong}</p>`}</form>`;
}

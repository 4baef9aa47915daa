/** The thresholds: a table, and a dialog in which an admin changes one. */

import { send } from '../core/api.js';
import { quantity } from '../core/format.js';
import { html, useState } from '../core/html.js';
import { may } from '../core/role.js';
import { line } from '../core/text.js';
import { Dialog } from './dialog.js';
import { Table } from './table.js';
import { Panel } from './view.js';

const SIGNS = { greater: 'above', less: 'below', equal: 'at' };

/** All of them; `reload` is called after a change. */
export function Thresholds({ items, reload }) {
  const [edited, setEdited] = useState(null);
  const columns = [
    { key: 'title', label: 'Threshold', grow: true,
      cell: (one) => html`<span class="name">${line(one.title, 80)}</span>
        <span class="below" title=${line(one.measure, 300)}>${line(one.measure, 160)}</span>` },
    { key: 'warning', label: 'Warning', right: true, cell: (one) => limitText(one, one.warning) },
    { key: 'critical', label: 'Critical', right: true, cell: (one) => limitText(one, one.critical) },
    { key: 'after', label: 'After', right: true, wide: true, cell: (one) => `${one.violations}\u00a0m` },
    { key: 'enabled', label: 'State', cell: (one) => html`${one.enabled ? 'on' : html`<span class="quiet">off</span>`}
        ${one.changed && html` <span class="quiet">changed</span>`}` },
    may('admin') && { key: 'edit', label: html`<span class="unseen">Change</span>`, right: true,
      cell: (one) => html`<button type="button" class="ghost" aria-label=${`Change: ${line(one.title, 80)}`}
          onClick=${() => setEdited(one)}>Change…</button>` },
  ].filter(Boolean);
  return html`<${Panel} title="Thresholds">
      <${Table} caption="Thresholds" columns=${columns} rows=${items} id=${(one) => one.name} /></${Panel}>
    ${edited && html`<${Edit} of=${edited} close=${() => setEdited(null)} done=${() => {
      setEdited(null);
      reload();
    }} />`}`;
}

const limitText = (one, value) => (value === null ? html`<span class="quiet">none</span>`
  : html`<span class="quiet">${SIGNS[one.comparison]}</span> ${quantity(value, one.unit)}`);

function Edit({ of: one, close, done }) {
  const [wrong, setWrong] = useState('');
  const save = async (event) => {
    event.preventDefault();
    const fields = event.currentTarget.elements;
    const read = (name) => (fields[name].value === '' ? null : Number(fields[name].value));
    const item = { name: one.name, warning: read('warning'), critical: read('critical'),
      violations: read('violations'), cooldown_minutes: read('cooldown_minutes'), enabled: fields.enabled.checked };
    await send('PUT', 'thresholds', { items: [item] }).then(done, (error) => setWrong(error.message));
  };
  const field = (name, label, least) => html`<label>
      ${label} <input type="number" name=${name} step="any" min=${least} defaultValue=${one[name] ?? ''} /></label>`;
  return html`<${Dialog} title=${one.title} close=${close}><form class="custom" onSubmit=${save}>
    ${field('warning', `Warning (${one.unit || 'number'})`)}${field('critical', `Critical (${one.unit || 'number'})`)}
    ${field('violations', 'Minutes in a row', 1)}${field('cooldown_minutes', 'Quiet after (min)', 0)}
    <label class="switch"><span>On</span><input type="checkbox" name="enabled" defaultChecked=${one.enabled} /></label>
    ${wrong && html`<p class="bad" role="alert">${wrong}</p>`}
    <p class="row-of-buttons end"><button type="button" onClick=${close}>Cancel</button>
          <button type="submit" class="primary">Save</button></p></form></${Dialog}>`;
}

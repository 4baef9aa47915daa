/** Alerts: which thresholds are broken now and were lately, and the thresholds themselves. */

import { send } from '../core/api.js';
import { useCell } from '../core/cell.js';
import { useFilters, useData, useList } from '../core/data.js';
import { ago, duration, full, quantity } from '../core/format.js';
import { html, useState } from '../core/html.js';
import { may, role } from '../core/role.js';
import { route, safeLink } from '../core/route.js';
import { line } from '../core/text.js';
import { Dialog } from '../parts/dialog.js';
import { SegmentFilter } from '../parts/fields.js';
import { Service } from '../parts/names.js';
import { Severity } from '../parts/severity.js';
import { Empty } from '../parts/states.js';
import { Table } from '../parts/table.js';
import { Panel, View } from '../parts/view.js';

const WHICH = [
  ['', 'Active'],
  ['day', 'Last 24 hours'],
  ['week', 'Last 7 days'],
];
const ACTIONS = { firing: [['acknowledge', 'Acknowledge'], ['dismiss', 'Dismiss']],
  acknowledged: [['dismiss', 'Dismiss'], ['reopen', 'Reopen']], escalated: [['acknowledge', 'Acknowledge']],
    dismissed: [['reopen', 'Reopen']] };

export default function AlertsView() {
  useCell(role);
  const { query } = useCell(route);
  const which = query.get('which');
  const { service } = useFilters();
  const list = useList('alerts', { service, active_only: which ? null : 'true', hours: which === 'week' ? 168 : 24,
      limit: 100 });
  const thresholds = useData('thresholds', {}, false);
  const [told, setTold] = useState('');
  const act = async (id, action) => {
    setTold(await send('POST', 'alerts', { id, action })
      .then((answer) => `It is ${answer.state} now.`, (error) => error.message));
    list.reload();
  };
  return html`<${View} name="alerts" title="Alerts" source=${list}
      actions=${html`<${SegmentFilter} name="which" label="Which alerts" options=${WHICH} />`}>${() => html`
    ${told && html`<p class="notice" role="status">${told}</p>`}
    ${list.items.length ? html`<${Alerts} list=${list} act=${may('operator') && act} />`
      : html`<${Empty} icon="good" title=${which ? 'No threshold was broken' : 'No threshold is broken'}>
          <p>An alert fires when a value stays beyond its threshold.</p></${Empty}>`}
    ${thresholds.data && html`<${Thresholds} items=${thresholds.data.items} reload=${thresholds.reload} />`}`}
    </${View}>`;
}

function Alerts({ list, act }) {
  const columns = [
    { key: 'what', label: 'Alert', grow: true,
      cell: (one) => html`<span class="name" title=${line(one.text, 300)}>
          ${line(one.title, 100)} <${Service} name=${one.service} /></span>` },
    { key: 'severity', label: 'Severity', cell: (one) => html`<${Severity} level=${one.severity} />` },
    { key: 'value', label: 'Value', right: true,
      cell: (one) => quantity(one.until === null ? one.value : one.worst, one.unit) },
    { key: 'limit', label: 'Limit', right: true, wide: true,
      cell: (one) => html`<span class="quiet">${quantity(one.limit, one.unit)}</span>` },
    { key: 'state', label: 'State', cell: (one) => html`<span title=${one.note ? line(one.note, 300) : undefined}>
          ${one.state}</span>` },
    { key: 'since', label: 'Since', right: true, wide: true,
      cell: (one) => html`<time title=${full(one.since)}>${ago(one.since)}</time>` },
    { key: 'lasted', label: 'Lasted', right: true, wide: true,
      cell: (one) => duration(((one.until ?? Date.now() / 1000) - one.since) * 1000) },
    act && { key: 'act', label: html`<span class="unseen">Actions</span>`, right: true,
      cell: (one) => (ACTIONS[one.state] ?? [])
        .map(([action, text]) => html`<button key=${action} type="button" class="ghost"
              aria-label=${`${text}: ${line(one.text, 200)}`} onClick=${() => act(one.id, action)}>${text}</button>`) },
  ].filter(Boolean);
  return html`<${Table} caption="Alerts" columns=${columns} rows=${list.items} id=${(one) => `${one.id} ${one.since}`}
      href=${(one) => safeLink(one.link)} list=${list} primary=${true} />`;
}

const SIGNS = { greater: 'above', less: 'below', equal: 'at' };

function Thresholds({ items, reload }) {
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

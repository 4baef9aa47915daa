/** Alerts: the incidents that last, what is kept quiet, what was, and the thresholds that alerts are made of. */

import { send } from '../core/api.js';
import { useCell } from '../core/cell.js';
import { useFilters, useData, useList } from '../core/data.js';
import { ago, duration, full, quantity } from '../core/format.js';
import { html, useState } from '../core/html.js';
import { may, role } from '../core/role.js';
import { link, route } from '../core/route.js';
import { line } from '../core/text.js';
import { Actions, AlertState, what } from '../parts/alerts.js';
import { SegmentFilter } from '../parts/fields.js';
import { Service } from '../parts/names.js';
import { Quiet } from '../parts/quiet.js';
import { Severity } from '../parts/severity.js';
import { Empty } from '../parts/states.js';
import { Table } from '../parts/table.js';
import { Thresholds } from '../parts/thresholds.js';
import { Panel, View } from '../parts/view.js';

const WHICH = [
  ['', 'Active'],
  ['day', 'Last 24 hours'],
  ['week', 'Last 7 days'],
];

export default function AlertsView() {
  useCell(role);
  const { query } = useCell(route);
  const which = query.get('which');
  const { service } = useFilters();
  const filters = { service, active_only: which ? null : 'true', hours: which === 'week' ? 168 : 24 };
  const incidents = useList('incidents', { ...filters, limit: 50 });
  const alerts = useList('alerts', { ...filters, limit: 100 });
  const thresholds = useData('thresholds', {}, false);
  const [told, setTold] = useState('');
  const reload = () => {
    incidents.reload();
    alerts.reload();
  };
  const act = (id, action) => send('POST', 'alerts', { id, action })
    .then((answer) => setTold(`It is ${answer.state} now.`), (error) => setTold(error.message)).then(reload);
  return html`<${View} name="alerts" title="Alerts" source=${incidents}
      actions=${html`<${SegmentFilter} name="which" label="Which alerts" options=${WHICH} />`}>${() => html`
    ${told && html`<p class="notice" role="status">${told}</p>`}
    ${incidents.items.length ? html`<${Incidents} list=${incidents} act=${may('operator') && act} />`
      : html`<${Empty} icon="good" title=${which ? 'Nothing was wrong' : 'Nothing is wrong'}>
          <p>The hub looks every few seconds at thresholds, rules, objectives and at what is unusual.</p></${Empty}>`}
    ${alerts.items?.length > 0 && html`<${Panel} title="Each alert" wide=${true}>
      <${Alerts} list=${alerts} /></${Panel}>`}
    <${Quiet} changed=${reload} />
    ${thresholds.data && html`<${Thresholds} items=${thresholds.data.items} reload=${thresholds.reload} />`}`}
    </${View}>`;
}

function Incidents({ list, act }) {
  const columns = [
    { key: 'what', label: 'Incident', grow: true,
      cell: (one) => html`<span class="name" title=${line(one.title, 300)}>${line(one.title, 120)}</span>
        ${one.cause && html`<span class="below" title=${line(one.cause, 600)}>${line(one.cause, 200)}</span>`}` },
    { key: 'severity', label: 'Severity', cell: (one) => html`<${Severity} level=${one.severity} />` },
    { key: 'state', label: 'State', cell: (one) => html`<${AlertState} one=${one} />` },
    { key: 'services', label: 'Services', wide: true,
      cell: (one) => one.services.map((name) => html`<${Service} key=${name} name=${name} />`) },
    { key: 'alerts', label: 'Alerts', right: true, wide: true, cell: (one) => one.alerts },
    { key: 'since', label: 'Since', right: true, wide: true,
      cell: (one) => html`<time title=${full(one.since)}>${ago(one.since)}</time>` },
    { key: 'lasted', label: 'Lasted', right: true, wide: true, cell: lasted },
    act && { key: 'act', label: html`<span class="unseen">Actions</span>`, right: true,
      cell: (one) => html`<${Actions} one=${one} name=${one.title} act=${act} />` },
  ].filter(Boolean);
  return html`<${Table} caption="Incidents" columns=${columns} rows=${list.items} id=${(one) => one.id}
      href=${(one) => link(['incidents', one.id])} list=${list} primary=${true} />`;
}

const lasted = (one) => duration(((one.until ?? Date.now() / 1000) - one.since) * 1000);

function Alerts({ list }) {
  const columns = [
    { key: 'what', label: 'Alert', grow: true, cell: what },
    { key: 'severity', label: 'Severity', cell: (one) => html`<${Severity} level=${one.severity} />` },
    { key: 'value', label: 'Value', right: true,
      cell: (one) => quantity(one.until === null ? one.value : one.worst, one.unit) },
    { key: 'limit', label: 'Limit', right: true, wide: true,
      cell: (one) => html`<span class="quiet">${quantity(one.limit, one.unit)}</span>` },
    { key: 'state', label: 'State', cell: (one) => html`<${AlertState} one=${one} />` },
    { key: 'since', label: 'Since', right: true, wide: true,
      cell: (one) => html`<time title=${full(one.since)}>${ago(one.since)}</time>` },
    { key: 'lasted', label: 'Lasted', right: true, wide: true, cell: lasted },
  ];
  return html`<${Table} caption="Alerts" columns=${columns} rows=${list.items} id=${(one) => one.id}
      href=${(one) => link(['incidents', one.incident])} list=${list} />`;
}

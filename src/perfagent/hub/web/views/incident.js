/** One incident: what is likely behind it, its alerts, what to do, and what happened when. */

import { send } from '../core/api.js';
import { useCell } from '../core/cell.js';
import { useData } from '../core/data.js';
import { ago, duration, full, quantity, when } from '../core/format.js';
import { html, useState } from '../core/html.js';
import { may, role } from '../core/role.js';
import { link, safeLink } from '../core/route.js';
import { line } from '../core/text.js';
import { Actions, AlertState, what } from '../parts/alerts.js';
import { Dialog } from '../parts/dialog.js';
import { Duration } from '../parts/quiet.js';
import { Severity } from '../parts/severity.js';
import { Table } from '../parts/table.js';
import { Panel, View } from '../parts/view.js';

const WORDS = { began: 'Began', joined: 'Began', worsened: 'Worse', over: 'Over', returned: 'Returned', muted: 'Quiet',
  heard: 'Heard', told: 'Told', delivered: 'Delivered', failed: 'Failed', restart: 'Restart', version: 'Release' };

export default function IncidentView({ subject }) {
  useCell(role);
  const source = useData(`incidents/${encodeURIComponent(subject)}`);
  const [told, setTold] = useState('');
  const { data, reload } = source;
  const title = data ? line(data.title, 160) : 'Incident';
  const act = may('operator') && ((id, action) => send('POST', 'alerts', { id, action })
    .then((answer) => setTold(`It is ${answer.state} now.`), (error) => setTold(error.message)).then(reload));
  return html`<${View} name="incident" title=${title} crumbs=${[['Alerts', link(['alerts'])]]} source=${source}
      actions=${data && act && html`<${Actions} one=${data} name=${data.title} act=${act} />`}>${(one) => html`
    <${Content} one=${one} act=${act} told=${told} quiet=${() => {
      setTold('It is kept quiet now.');
      reload();
    }} />`}</${View}>`;
}

function Content({ one, act, told, quiet }) {
  const [silenced, setSilenced] = useState(null);
  const first = one.items[0];
  const lasted = duration(((one.until ?? Date.now() / 1000) - one.since) * 1000);
  return html`
    <p class="lead"><${Severity} level=${one.severity} /> <${AlertState} one=${one} />
      <span class="quiet"> since <time title=${full(one.since)}>${ago(one.since)}</time>, ${
        one.until === null ? `lasts ${lasted}` : `lasted ${lasted}`}</span></p>
    ${told && html`<p class="notice" role="status">${told}</p>`}
    ${one.cause && html`<p class="notice ${one.until === null ? 'warn' : ''}">${line(one.cause, 800)}</p>`}
    ${first?.advice && html`<p class="lead">Next step: ${line(first.advice, 400)}</p>`}
    <${Panel} title="Alerts" wide=${true}><${Alerts} items=${one.items} act=${act}
        silence=${setSilenced} /></${Panel}>
    <${Panel} title="What happened" wide=${true}><${Timeline} entries=${one.timeline} /></${Panel}>
    ${silenced && html`<${Silence} of=${silenced} close=${() => setSilenced(null)} done=${() => {
      setSilenced(null);
      quiet();
    }} />`}`;
}

function Alerts({ items, act, silence }) {
  const columns = [
    { key: 'what', label: 'Alert', grow: true, cell: (one) => html`${what(one)}
        <span class="below">${line(one.text, 300)}</span>` },
    { key: 'severity', label: 'Severity', cell: (one) => html`<${Severity} level=${one.severity} />` },
    { key: 'value', label: 'Value', right: true, wide: true,
      cell: (one) => quantity(one.until === null ? one.value : one.worst, one.unit) },
    { key: 'state', label: 'State', cell: (one) => html`<${AlertState} one=${one} />` },
    { key: 'since', label: 'Since', right: true, wide: true,
      cell: (one) => html`<time title=${full(one.since)}>${when(one.since)}</time>` },
    { key: 'traces', label: 'Requests', right: true, wide: true, plain: true,
      cell: (one) => one.traces.slice(0, 3).map((id, index) => html`<a key=${id} href=${link(['traces', id])}
          aria-label=${`Request ${index + 1} that shows it`}>${index + 1}</a> `) },
    act && { key: 'act', label: html`<span class="unseen">Actions</span>`, right: true,
      cell: (one) => html`<${Actions} one=${one} name=${one.text} act=${act} />${one.until === null && !one.muted
        && html`<button type="button" class="ghost" aria-label=${`Silence: ${line(one.text, 200)}`}
            onClick=${() => silence(one)}>Silence…</button>`}` },
  ].filter(Boolean);
  return html`<${Table} caption="Alerts" columns=${columns} rows=${items} id=${(one) => one.id}
      href=${(one) => safeLink(one.link)} primary=${true} />`;
}

function Timeline({ entries }) {
  const columns = [
    { key: 'text', label: 'What', grow: true, cell: (one) => html`<span class="name">${line(one.text, 300)}</span>
        ${one.note && html`<span class="below">${line(one.by, 40)}: ${line(one.note, 500)}</span>`}` },
    { key: 'kind', label: 'Kind', wide: true,
      cell: (one) => WORDS[one.what] ?? one.what.charAt(0).toUpperCase() + one.what.slice(1) },
    { key: 'who', label: 'By', wide: true, cell: (one) => html`<span class="quiet">${line(one.by ?? '', 40)}</span>` },
    { key: 'time', label: 'When', right: true,
      cell: (one) => html`<time title=${full(one.time)}>${when(one.time)}</time>` },
  ];
  return html`<${Table} caption="What happened when" columns=${columns}
      rows=${entries.map((one, index) => ({ ...one, index }))} id=${(one) => one.index} />`;
}

function Silence({ of: one, close, done }) {
  const [wrong, setWrong] = useState('');
  const save = async (event) => {
    event.preventDefault();
    const fields = event.currentTarget.elements;
    await send('POST', 'alerts', { id: one.id, action: 'silence', duration_minutes: Number(fields.minutes.value),
      note: fields.note.value || undefined }).then(done, (error) => setWrong(error.message));
  };
  return html`<${Dialog} title="Silence" close=${close}><form class="custom" onSubmit=${save}>
    <p>${line(one.text, 300)}</p><${Duration} /><label>Note <input name="note" maxlength="500" /></label>
    ${wrong && html`<p class="bad" role="alert">${wrong}</p>`}
    <p class="row-of-buttons end"><button type="button" onClick=${close}>Cancel</button>
          <button type="submit" class="primary">Silence</button></p></form></${Dialog}>`;
}

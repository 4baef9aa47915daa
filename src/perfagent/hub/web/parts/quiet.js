/** What is kept quiet: silences and maintenance windows, with buttons that begin and end them. */

import { send } from '../core/api.js';
import { useData } from '../core/data.js';
import { full, when } from '../core/format.js';
import { html, useState } from '../core/html.js';
import { may } from '../core/role.js';
import { line } from '../core/text.js';
import { Dialog } from './dialog.js';
import { Table } from './table.js';
import { Panel } from './view.js';

/** The durations that a silence or a window may be begun with: minutes, and how they are called. */
export const DURATIONS = [
  [30, '30 minutes'],
  [60, '1 hour'],
  [240, '4 hours'],
  [1440, '1 day'],
  [10080, '7 days'],
];

/** Both lists; `changed` is called when one of them was ended or begun. */
export function Quiet({ changed }) {
  const silences = useData('alerts/silences', { limit: 100 });
  const windows = useData('maintenance', { limit: 100 });
  const [open, setOpen] = useState(false);
  const [wrong, setWrong] = useState('');
  const again = () => {
    silences.reload();
    windows.reload();
    changed();
  };
  const end = (path) => send('DELETE', path).then(again, (error) => setWrong(error.message));
  const now = Date.now() / 1000;
  const rows = [
    ...(silences.data?.items ?? []).filter((one) => one.active).map((one) => ({ ...one, kind: 'Silence',
      name: Object.entries(one.matchers).map(([key, value]) => `${key}=${value}`).join(', '), reason: one.note,
      path: `alerts/silences/${one.id}` })),
    ...(windows.data?.items ?? []).filter((one) => one.end === null || one.end > now).map((one) => ({ ...one,
      kind: 'Maintenance', id: one.name, reason: one.reason,
      path: one.active && `maintenance/${encodeURIComponent(one.name)}` })),
  ];
  const columns = [
    { key: 'name', label: 'What', grow: true,
      cell: (one) => html`<span class="name">${line(one.name, 120)}</span>${one.services && html`<span class="below">
          ${one.services.length ? one.services.map((name) => line(name, 60)).join(', ') : 'all services'}</span>`}` },
    { key: 'kind', label: 'Kind', wide: true, cell: (one) => one.kind },
    { key: 'state', label: 'State', cell: (one) => (one.active ? 'on' : html`<span class="quiet">off</span>`) },
    { key: 'until', label: 'Until', right: true,
      cell: (one) => (one.end ? html`<time title=${full(one.end)}>${when(one.end)}</time>`
        : html`<span class="quiet">${one.weekly || 'it is ended'}</span>`) },
    { key: 'reason', label: 'Reason', wide: true, cell: (one) => html`<span class="quiet">${line(one.reason, 160)}</span>` },
    may('operator') && { key: 'end', label: html`<span class="unseen">End</span>`, right: true,
      cell: (one) => one.path && html`<button type="button" class="ghost" aria-label=${`End: ${line(one.name, 100)}`}
          onClick=${() => end(one.path)}>End</button>` },
  ].filter(Boolean);
  const begin = may('operator') && html`<button type="button" onClick=${() => setOpen(true)}>Begin maintenance…</button>`;
  return html`<${Panel} title="Kept quiet" wide=${true} actions=${begin}
      note=${rows.length ? '' : 'nothing: no silence is on, and no maintenance window is declared'}>
    ${wrong && html`<p class="bad" role="alert">${wrong}</p>`}
    ${rows.length > 0 && html`<${Table} caption="Silences and maintenance windows" columns=${columns} rows=${rows}
        id=${(one) => `${one.kind} ${one.id}`} />`}</${Panel}>
    ${open && html`<${Begin} close=${() => setOpen(false)} done=${() => {
      setOpen(false);
      again();
    }} />`}`;
}

function Begin({ close, done }) {
  const [wrong, setWrong] = useState('');
  const save = async (event) => {
    event.preventDefault();
    const fields = event.currentTarget.elements;
    const services = fields.services.value.split(',').map((name) => name.trim()).filter(Boolean);
    await send('POST', 'maintenance', { name: fields.name.value, services, reason: fields.reason.value,
      duration_minutes: Number(fields.minutes.value) }).then(done, (error) => setWrong(error.message));
  };
  return html`<${Dialog} title="Begin maintenance" close=${close}><form class="custom" onSubmit=${save}>
    <label>Name <input name="name" required maxlength="100" placeholder="upgrade" /></label>
    <label>Services, * for any text <input name="services" placeholder="all" /></label>
    <${Duration} /><label>Reason <input name="reason" maxlength="500" /></label>
    ${wrong && html`<p class="bad" role="alert">${wrong}</p>`}
    <p class="row-of-buttons end"><button type="button" onClick=${close}>Cancel</button>
          <button type="submit" class="primary">Begin</button></p></form></${Dialog}>`;
}

/** How long, as a field of a form. */
export function Duration() {
  return html`<label>For <select name="minutes" defaultValue="60">${DURATIONS.map(([minutes, text]) => html`<option
        key=${minutes} value=${minutes} selected=${minutes === 60}>${text}</option>`)}</select></label>`;
}

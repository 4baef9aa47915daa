/** The hub itself: what it receives and keeps, and who changed what. */

import { useCell } from '../core/cell.js';
import { useData } from '../core/data.js';
import { ago, bytes, count, duration, full, percent, rate, when, whole } from '../core/format.js';
import { html } from '../core/html.js';
import { may, role } from '../core/role.js';
import { line, plain, valueText } from '../core/text.js';
import { Figure, Figures, Share } from '../parts/figure.js';
import { Icon } from '../parts/icon.js';
import { Optimisations } from '../parts/optimisations.js';
import { Notifications } from '../parts/notifications.js';
import { Sources } from '../parts/sources.js';
import { Copy } from '../parts/states.js';
import { Table } from '../parts/table.js';
import { Panel, View } from '../parts/view.js';

export default function HubView() {
  useCell(role);
  const source = useData('hub');
  return html`<${View} name="hub" title="Hub" source=${source}>${(data) => html`<${Content} data=${data} />`}
    </${View}>`;
}

const KINDS = [
  ['spans', 'Spans'],
  ['logs', 'Log records'],
  ['points', 'Metric points'],
  ['batches', 'Requests'],
];

function Content({ data }) {
  const { received, per_second: now, counts, retention } = data;
  const columns = [
    { key: 'name', label: 'What', grow: true, cell: ([, text]) => text },
    { key: 'now', label: 'Now', right: true, cell: ([key]) => rate(now?.[key]) },
    { key: 'since', label: 'Since it started', right: true, cell: ([key]) => whole(received[key]) },
    { key: 'kept', label: 'Kept', right: true, cell: ([key]) => (counts[key] === undefined ? '' : whole(counts[key])) },
  ];
  const reads = data.remotes.length > 0;
  const lost = received.refused + received.failed;
  return html`
    ${data.notes.map((note) => html`<p key=${note} class="notice warn"><${Icon} name="high" /> ${plain(note)}</p>`)}
    <${Figures}>
      <${Figure} name="Running for" value=${duration(data.uptime_seconds * 1000)} title=${full(data.started)} />
      <${Figure} name="Database" value=${bytes(data.database_bytes)}
          note=${retention?.bytes ? `of ${bytes(retention.bytes)}` : ''} />
      <${Figure} name="Oldest span" value=${data.oldest === null ? 'none' : ago(data.oldest)}
          title=${full(data.oldest)} />
      <${Figure} name="Memory" value=${bytes(data.memory_bytes)} />
        <${Figure} name="CPU" value=${percent(data.cpu_ratio)} note="of one core" />
      ${!reads && html`
        <${Figure} name="Waiting" value=${bytes(data.queue_bytes)} title="Requests that wait to be stored" />
        <${Figure} name="Refused" value=${count(lost)} tone=${lost ? 'warn' : ''}
          title=${`${whole(received.refused)} refused because of a limit or their form, ${whole(received.failed)} could not be written`} />`}
      <${Figure} name="Watching" value=${count(data.subscribers)} note=${data.subscribers === 1 ? 'page' : 'pages'} />
    </${Figures}>
    <div class="columns">
      ${reads ? html`<${Remotes} remotes=${data.remotes} counts=${counts} />`
        : html`<${Panel} title="What arrives"><${Table} caption="What the hub receives and keeps" columns=${columns}
            rows=${KINDS} id=${([key]) => key} /></${Panel}>`}
      <${Panel} title="Where it is">
        <table class="attributes" aria-label="About the hub"><tbody>
          <${Line} name="Address" value=${data.address} copy=${true} />
                ${!reads && html`<${Line} name="Send OTLP to" value=${`OTEL_EXPORTER_OTLP_ENDPOINT=${data.address}`}
                    copy=${true} />`}
          ${data.remotes.map((one) => html`<${Line} key=${one.name} name=${one.name} value=${one.url} copy=${true} />`)}
          <${Line} name="Folder" value=${data.directory} copy=${true} />
                <${Line} name="Version" value=${`${data.version}, schema ${data.schema}`} />
          <${Line} name="Keeps" value=${reads ? `what was read of late, at most ${bytes(retention.bytes)}` : retention
            ? `all of ${retention.hours} h, by the hour ${retention.days} d, at most ${bytes(retention.bytes)}` : ''} />
          <${Line} name="Series" value=${`${whole(counts.series)} series, ${whole(counts.operations)} operations`} />
        </tbody></table>
        ${retention?.bytes && html`<p class="fill">
              <${Share} ratio=${data.database_bytes / retention.bytes}>
                  ${percent(data.database_bytes / retention.bytes)} of its room</${Share}></p>`}
      </${Panel}>
    </div>
    <${Sources} />
    <${Notifications} />
    <${Optimisations} />
    ${may('admin') && html`<${Audit} />`}`;
}

/** What the hub reads from, in place of taking telemetry in. */
function Remotes({ remotes, counts }) {
  const columns = [
    { key: 'name', label: 'Reads from', grow: true, cell: (one) => one.name },
    { key: 'state', label: 'State', cell: (one) => html`<b class=${one.problem ? 'bad' : 'good'}>${one.problem
        ? 'fails' : 'answers'}</b>` },
    { key: 'answered', label: 'Answered', right: true,
      cell: (one) => (one.last_success === null ? 'never' : ago(one.last_success)) },
    { key: 'lag', label: 'Newest', right: true,
      cell: (one) => (one.lag_seconds === null ? '' : `${duration(one.lag_seconds * 1000)} old`) },
    { key: 'left', label: 'Left out', right: true, cell: (one) => whole(one.left_out) },
  ];
  return html`<${Panel} title="Where its data comes from">
    <${Table} caption="What the hub reads from" columns=${columns} rows=${remotes} id=${(one) => one.name} />
    <p class="quiet">Of it, ${whole(counts.spans)} spans and ${whole(counts.series)} series are in the window that the
      hub keeps. It takes no telemetry: programs send to the Collector.</p></${Panel}>`;
}

function Line({ name, value, copy }) {
  return html`<tr><th scope="row">${name}</th><td>${line(value, 200)}</td>
      <td class="attribute-copy">${copy && html`<${Copy} text=${value} label=${`Copy: ${name}`} />`}</td></tr>`;
}

function Audit() {
  const { data } = useData('audit', { limit: 50 });
  if (!data) return null;
  const columns = [
    { key: 'action', label: 'What', grow: true,
      cell: (one) => html`${line(one.action, 60)} <span class="quiet">${line(one.subject, 80)}</span>` },
    { key: 'role', label: 'Role', cell: (one) => line(one.role, 20) },
    { key: 'change', label: 'Change', wide: true,
      cell: (one) => html`<span class="quiet">${one.before === null ? '' : `${line(valueText(one.before), 80)} → `}
          ${one.after === null ? '' : line(valueText(one.after), 80)}</span>` },
    { key: 'time', label: 'When', right: true,
      cell: (one) => html`<time title=${full(one.time)}>${when(one.time)}</time>` },
  ];
  return html`<${Panel} title="Who changed what">
      ${data.items.length ? html`<${Table} caption="Audit" columns=${columns} rows=${data.items}
            id=${(one) => `${one.time} ${one.action} ${one.subject}`} />`
              : html`<p class="quiet">Nothing was changed yet.</p>`}</${Panel}>`;
}

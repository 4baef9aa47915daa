/** Who is told of alerts, whether that works, and what was told. */

import { send } from '../core/api.js';
import { useData, useList } from '../core/data.js';
import { ago, duration, full, whole } from '../core/format.js';
import { html, useState } from '../core/html.js';
import { may } from '../core/role.js';
import { line } from '../core/text.js';
import { Icon } from './icon.js';
import { Table } from './table.js';
import { Panel } from './view.js';

const TONES = { healthy: ['good', 'good'], failing: ['critical', 'bad'], off: ['high', 'warn'], idle: ['idle', 'quiet'],
  delivered: ['good', 'good'], folded: ['good', 'good'], failed: ['critical', 'bad'], waiting: ['medium', 'warn'],
    quiet: ['idle', 'quiet'] };
const NAMES = { healthy: 'Takes messages', failing: 'Takes none', off: 'Off', idle: 'Not told yet', delivered: 'Delivered',
  folded: 'In a digest', failed: 'Given up', waiting: 'Waiting', quiet: 'Not repeated' };

/** A word with its icon: never by colour alone. */
function State({ word }) {
  const [icon, tone] = TONES[word] ?? ['idle', 'quiet'];
  return html`<span class="mark ${tone}"><${Icon} name=${icon} /><span>${NAMES[word] ?? word}</span></span>`;
}

/** What went wrong, below a name; whole in the tooltip. */
function Wrong({ text }) {
  return text && html`<span class="below" title=${line(text, 400)}>${line(text, 200)}</span>`;
}

/** Channels and the delivery log; nothing where nobody is to be told and nobody was. */
export function Notifications() {
  const channels = useData('channels', { limit: 200 });
  const log = useList('deliveries', { limit: 50 });
  const [told, setTold] = useState('');
  if (!channels.data || !log.data) return null;
  const test = async (name) => {
    setTold(`A test is on its way to ${name} …`);
    setTold(await send('POST', 'channels/test', { channel: name }).then(
      (answer) => (answer.delivered ? `${name} has taken the test.` : `${name} has not taken the test: ${answer.error}`),
      (error) => error.message));
    channels.reload();
    log.reload();
  };
  return html`
    <${Panel} title="Who is told of alerts">
      ${told && html`<p class="notice" role="status">${line(told, 400)}</p>`}
      ${channels.data.items.length ? html`<${Channels} items=${channels.data.items} test=${may('admin') && test} />`
        : html`<p class="quiet">Nobody: a <code>[[channel]]</code> in perfagent.toml names who is to be told.</p>`}
    </${Panel}>
    ${log.items.length > 0 && html`<${Panel} title="What was told"><${Deliveries} list=${log} /></${Panel}>`}`;
}

function Channels({ items, test }) {
  const columns = [
    { key: 'name', label: 'Channel', grow: true,
      cell: (one) => html`<span class="name">${line(one.name, 63)}</span>
          <${Wrong} text=${one.error} />` },
    { key: 'target', label: 'Goes to', wide: true,
      cell: (one) => html`<span class="quiet">${line(one.target, 120)}</span>` },
    { key: 'health', label: 'State', cell: (one) => html`<${State} word=${one.health} />` },
    { key: 'severity', label: 'From', wide: true, cell: (one) => one.severity ?? '' },
    { key: 'sent', label: 'Last hour', right: true, wide: true,
      cell: (one) => (one.rate_per_hour ? `${whole(one.sent_last_hour)} of ${whole(one.rate_per_hour)}`
        : whole(one.sent_last_hour)) },
    { key: 'waiting', label: 'Waiting', right: true, wide: true, cell: (one) => whole(one.waiting) },
    { key: 'delivered', label: 'Delivered', right: true,
      cell: (one) => html`<span title=${one.last_delivered === null ? undefined : full(one.last_delivered)}>
          ${one.last_delivered === null ? 'never' : ago(one.last_delivered)}</span>` },
  ];
  if (test) {
    columns.push({ key: 'test', label: 'Test', plain: true, right: true,
      cell: (one) => one.health !== 'off' && html`<button type="button" onClick=${() => test(one.name)}
          aria-label=${`Send a test to ${one.name}`}>Test</button>` });
  }
  return html`<${Table} caption="Channels" columns=${columns} rows=${items} id=${(one) => one.name} />`;
}

function Deliveries({ list }) {
  const columns = [
    { key: 'title', label: 'Message', grow: true,
      cell: (one) => html`<span class="name" title=${line(one.title, 300)}>${line(one.title, 160)}</span>
          <${Wrong} text=${one.error} />` },
    { key: 'channel', label: 'Channel', cell: (one) => line(one.channel, 63) },
    { key: 'state', label: 'State', cell: (one) => html`<${State} word=${one.state} />` },
    { key: 'attempts', label: 'Attempts', right: true, wide: true, cell: (one) => whole(one.attempts) },
    { key: 'latency', label: 'After', right: true, wide: true, title: 'From the event to its delivery',
      cell: (one) => (one.latency_seconds === null ? '' : duration(one.latency_seconds * 1000)) },
    { key: 'happened', label: 'When', right: true,
      cell: (one) => html`<time title=${full(one.happened)}>${ago(one.happened)}</time>` },
  ];
  return html`<${Table} caption="Deliveries" columns=${columns} rows=${list.items} list=${list}
      id=${(one) => `${one.event} ${one.channel}`} />`;
}

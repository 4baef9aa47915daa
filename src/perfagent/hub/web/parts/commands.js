/** What the hub can ask an agent to do, and what became of it. */

import { send } from '../core/api.js';
import { useCell } from '../core/cell.js';
import { useData } from '../core/data.js';
import { when } from '../core/format.js';
import { html, useState } from '../core/html.js';
import { may, role } from '../core/role.js';
import { line, valueText } from '../core/text.js';
import { Table } from './table.js';
import { Panel } from './view.js';

const COMMANDS = {
  sampling_ratio: { text: 'Sample', field: { type: 'number', min: 0, max: 1, step: 'any', placeholder: '0 … 1' },
    read: Number, hint: 'Share of requests that are traced' },
  profiling: { text: 'Profile requests', choices: [['true', 'on'], ['false', 'off']], read: (text) => text === 'true',
    hint: 'CPU time and memory of each request' },
  profiler: { text: 'Profile in detail', field: { type: 'number', min: 1, max: 600, step: 1, placeholder: 'seconds' },
    read: (text) => ({ rate: 100, seconds: Number(text) }), hint: '100 looks a second at all stacks, for so long' },
  clear_cache: { text: 'Clear a cache', field: { type: 'text', placeholder: 'name; empty for all' },
    read: (text) => text || null, hint: 'By its name' },
  invalidate_tags: { text: 'Forget by tags', field: { type: 'text', placeholder: 'tag, tag', required: true },
    read: (text) => text.split(',').map((tag) => tag.trim()).filter(Boolean), hint: 'What caches hold under these tags' },
  log_level: { text: 'Log from', choices: [['', 'as started'],
      ...['debug', 'info', 'warning', 'error', 'critical', 'off'].map((level) => [level, level])],
        read: (text) => text || null, hint: 'Least severity of records that are sent' },
  collect_garbage: { text: 'Collect garbage', read: () => null, hint: 'A full collection, now' },
  report: { text: 'Report of itself', read: () => null, hint: 'Settings, queues and instruments of the agent' },
};
const STATES = { waiting: 'Waiting for its next export', fetched: 'Taken', done: 'Done', failed: 'Failed' };

export function Commands({ instance }) {
  useCell(role);
  const { data: agents } = useData('agents', { limit: 1000 });
  const agent = agents?.items.find((one) => one.instance === instance);
  const history = useData(agent ? `agents/${encodeURIComponent(instance)}/commands` : null);
  const [told, setTold] = useState('');
  if (!agent?.commands?.length) return null;
  const ask = async (command, value) => {
    const body = value === null || value === undefined ? { command } : { command, value };
    setTold(await send('POST', `agents/${encodeURIComponent(instance)}/commands`, body)
      .then(() => 'Asked; it takes this up with its next export.', (error) => error.message));
    history.reload();
  };
  const columns = [
    { key: 'command', label: 'Asked', grow: true,
      cell: (one) => html`${COMMANDS[one.command]?.text ?? line(one.command, 40)} ${one.value !== null
          && one.value !== undefined && html`<code>${line(valueText(one.value), 80)}</code>`}` },
    { key: 'state', label: 'State', cell: (one) => STATES[one.state] ?? line(one.state, 20) },
    { key: 'asked', label: 'When', right: true, cell: (one) => when(one.asked) },
    { key: 'result', label: 'Answer', wide: true,
      cell: (one) => (one.result === null || one.result === undefined ? ''
        : html`<details><summary>Show</summary><pre tabindex="0">${valueText(one.result).slice(0, 20_000)}</pre>
          </details>`) },
  ];
  return html`<${Panel} title="Ask this process" note="It answers with its next export">
    ${may('operator') ? html`<div class="commands">
          ${agent.commands.filter((name) => COMMANDS[name])
            .map((name) => html`<${Command} key=${name} name=${name} ask=${ask} />`)}
              </div>` : html`<p class="quiet">Commands want the role operator.</p>`}
    ${told && html`<p class="notice" role="status">${told}</p>`}
    ${history.data?.items.length > 0 && html`<${Table} caption="Commands so far" columns=${columns}
          rows=${history.data.items} id=${(one) => one.id} />`}</${Panel}>`;
}

function Command({ name, ask }) {
  const { text, field, choices, read, hint } = COMMANDS[name];
  const submit = (event) => {
    event.preventDefault();
    ask(name, read(event.currentTarget.elements.value?.value ?? ''));
  };
  return html`<form onSubmit=${submit} title=${hint}>
    ${field && html`<label class="field"><span>${text}</span>
          <input name="value" required=${field.type === 'number'} ...${field} /></label>`}
    ${choices && html`<label class="field"><span>${text}</span>
          <select name="value">${choices.map(([value, label]) => html`<option key=${value} value=${value}>${label}
                </option>`)}</select></label>`}
    <button type="submit">${field || choices ? 'Ask' : text}</button></form>`;
}

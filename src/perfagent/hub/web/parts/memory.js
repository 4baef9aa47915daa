/** What a process keeps more and more of: what holds it, the line, the endpoint; and the way to it when asked for. */

import { get, send } from '../core/api.js';
import { useCell } from '../core/cell.js';
import { useData } from '../core/data.js';
import { ago, bytes, count, full, mean } from '../core/format.js';
import { html, useState } from '../core/html.js';
import { may, role } from '../core/role.js';
import { line, plain } from '../core/text.js';
import { Chart } from './chart.js';
import { Icon } from './icon.js';
import { Spark } from './spark.js';
import { Table } from './table.js';
import { Panel } from './view.js';

const [TRIES, PAUSE] = [60, 1000]; // ms
const file = (place) => line(place).split('/').slice(-2).join('/');

/** @param {string} instance of the process; @param {object} within the range; @param {boolean} alive still reports */
export function Memory({ instance, within, alive }) {
  useCell(role);
  const { data } = useData(`processes/${encodeURIComponent(instance)}/memory`, within);
  const [asked, setAsked] = useState(null);
  if (!data?.leaks.length) return null;
  const look = async (type) => {
    setAsked({ type, state: 'The process looks for it…' });
    try {
      setAsked({ type, answer: await references(instance, type) });
    } catch (error) {
      setAsked({ type, state: error.message });
    }
  };
  const columns = [
    { key: 'holder', label: 'What grows', grow: true,
      cell: (one) => html`<span class="name" title=${plain(one.holder).slice(0, 300)}><code>${line(one.holder, 80)}</code>
            ${' '}<span class="quiet">${one.kind === 'type' ? 'objects' : line(one.kind, 20)}</span></span>
          <span class="below">${[one.type && one.type !== one.holder && `of ${line(one.type, 80)}`,
                one.place && `${file(one.place)} ${one.function}`].filter(Boolean).join(' · ')}</span>
          ${one.stack && html`<details class="stack"><summary>Where it is made</summary>
                <pre tabindex="0">${plain(one.stack)}</pre></details>`}
          ${one.type.includes('.') && alive && may('operator') && html`<button type="button" class="small"
                title="Ask the process what holds these objects" onClick=${() => look(one.type)}>References</button>`}` },
    { key: 'state', label: 'State', wide: true, value: (one) => one.last_seen,
      cell: (one) => (one.growing
        ? html`<span class="mark warn"><${Icon} name="high" size=${13} /><span>Grows</span></span>`
        : html`<span class="mark quiet" title=${full(one.last_seen)}><span>Seen ${ago(one.last_seen)}</span></span>`) },
    { key: 'entries', label: 'Entries', right: true, wide: true, value: (one) => one.entries,
      cell: (one) => html`<${Spark} values=${one.sizes} /> ${count(one.entries)}` },
    { key: 'growth', label: 'An hour', right: true, value: (one) => one.bytes_per_hour,
      cell: (one) => html`${bytes(one.bytes_per_hour)}<span class="below">${count(one.entries_per_hour)} entries</span>` },
    { key: 'endpoint', label: 'Left by', wide: true, value: (one) => one.endpoint,
      cell: (one) => (one.endpoint ? html`<span class="name">${line(one.endpoint, 60)}</span>
            <span class="below">${one.entries_per_request === null ? 'most likely'
              : `${mean(one.entries_per_request)} a request, ${bytes(one.bytes_per_request)}`}</span>`
        : html`<span class="quiet">unknown</span>`) },
  ];
  return html`<${Panel} title="Memory that is kept" note="What has grown steadily, without a fall">
    ${data.blocks.some((value) => value !== null) && html`<${Chart} label="Blocks of memory" time=${data.time}
          unit="1"
          series=${[{ label: 'blocks of Python objects', values: data.blocks, colour: '--accent', fill: true }]} />`}
    <${Table} caption="What grows" columns=${columns} rows=${data.leaks} id=${(one) => one.holder} />
    ${asked && html`<${References} of=${asked} />`}</${Panel}>`;
}

function References({ of: { type, state, answer } }) {
  return html`<section class="references" aria-live="polite">
    <h3>What holds ${line(type, 80)}</h3>
    ${state && html`<p class="quiet">${line(state)}</p>`}
    ${answer && html`<p class="quiet">${answer.objects === null ? 'Some' : count(answer.objects)} objects live;
          ${' '}${count(answer.looked_at)} were looked at in ${mean(answer.seconds)} s.
          ${answer.complete ? '' : ' Others may hold them, too.'}</p>
      ${[...answer.paths.map((one) => one.steps), answer.held_by].filter((steps) => steps.length).map((steps, place) =>
          html`<${Way} key=${place} steps=${steps} />`)}`}</section>`;
}

function Way({ steps }) {
  return html`<ol class="way">${steps.map((step, place) => html`<li key=${place}>
        <code>${line(step.name, 120) || '→'}</code> <span class="quiet">${line(step.type, 80)}${step.size === undefined ? ''
          : `, ${count(step.size)} entries`}</span></li>`)}</ol>`;
}

/** Asks the process, and waits for its answer. */
async function references(instance, value) {
  const path = `agents/${encodeURIComponent(instance)}/commands`;
  const { id } = await send('POST', path, { command: 'references', value });
  for (let tries = 0; tries < TRIES; tries += 1) {
    await new Promise((done) => setTimeout(done, PAUSE));
    const one = (await get(path, { limit: 50 })).items.find((each) => each.id === id);
    if (one?.state === 'done') return one.result;
    if (one?.state === 'failed') throw new Error(String(one.result));
  }
  throw new Error('The process has not answered; it does so with its next export.');
}

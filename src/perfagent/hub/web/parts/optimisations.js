/** Optimisation rules: what the hub advised or did, what came of it, and a way to put it back. */

import { send } from '../core/api.js';
import { useCell } from '../core/cell.js';
import { useData, useList } from '../core/data.js';
import { ago, full } from '../core/format.js';
import { html, useState } from '../core/html.js';
import { may, role } from '../core/role.js';
import { line, plain } from '../core/text.js';
import { Service } from './names.js';
import { Table } from './table.js';
import { Panel } from './view.js';

const MODES = { advise: 'advises', act: 'acts', off: 'looks at none' };
const EFFECTS = { helped: ['good', 'helped'], harmed: ['bad', 'harmed'], no_effect: ['quiet', 'no effect'],
  unknown: ['quiet', 'not known'] };

export function Optimisations() {
  useCell(role);
  const rules = useData('optimisations', {}, false);
  const list = useList('optimisations/actions', { limit: 20 });
  const [told, setTold] = useState('');
  const change = async (method, path, body, said) => {
    setTold(await send(method, path, body).then(() => said, (error) => error.message));
    rules.reload();
    list.reload();
  };
  if (!rules.data || !list.items) return null;
  const { mode, items, problems } = rules.data;
  const setMode = (event) => change('PUT', 'optimisations', { mode: event.currentTarget.value },
    `The hub ${MODES[event.currentTarget.value]} from now on.`);
  const actions = may('admin') && html`<label class="field">Where a rule holds, the hub <select value=${mode} onChange=${setMode}>
    ${Object.entries(MODES).map(([name, text]) => html`<option key=${name} value=${name}>${text}</option>`)}</select></label>`;
  return html`<${Panel} title="Optimisation rules" note=${may('admin') ? '' : `the hub ${MODES[mode]}`} actions=${actions}>
    ${told && html`<p class="notice" role="status">${told}</p>`}
    ${problems.map((text) => html`<p key=${text} class="notice warn">${plain(text)}</p>`)}
    <${Table} caption="Optimisation rules" columns=${RULES} rows=${items} id=${(one) => one.name} /></${Panel}>
  <${Panel} title="What was advised and done">${list.items.length
    ? html`<${Table} caption="What was advised and done" rows=${list.items} id=${(one) => one.id} list=${list}
        columns=${taken((one) => change('POST', `optimisations/actions/${one.id}/undo`, {}, 'It is being put back.'))} />`
    : html`<p class="quiet">Nothing yet: no rule has held.</p>`}</${Panel}>`;
}

const RULES = [
  { key: 'name', label: 'Rule', grow: true,
    cell: (one) => html`<span class="name">${line(one.name, 63)}</span>
      <span class="below" title=${line(one.when, 300)}>${line(one.when, 160)}</span>` },
  { key: 'actions', label: 'Actions', wide: true,
    cell: (one) => html`<span class="quiet">${one.actions.map((name) => name.replaceAll('_', ' ')).join(', then ')}</span>` },
  { key: 'mode', label: 'Mode', cell: (one) => (one.holds.length
    ? html`<span class="warn" title=${one.holds.map((hold) => line(hold.reason, 200)).join(' ')}>on hold</span>`
    : one.enabled ? one.mode : html`<span class="quiet">off</span>`) },
  { key: 'cooldown', label: 'Cooldown', right: true, wide: true, cell: (one) => `${one.cooldown_minutes}\u00a0m` },
];

const taken = (undo) => [
  { key: 'what', label: 'Action', grow: true,
    cell: (one) => html`<span class="name">${one.action.replaceAll('_', ' ')} <${Service} name=${one.service} /></span>
      <span class="below" title=${plain(one.text)}>${line(one.text, 200)}</span>` },
  { key: 'state', label: 'State', cell: (one) => html`<span title=${one.reason ? line(one.reason, 200) : undefined}>
      ${one.state}</span>` },
  { key: 'effect', label: 'Effect', cell: (one) => html`<${Effect} of=${one} />` },
  { key: 'rule', label: 'Rule', wide: true, cell: (one) => html`<span class="quiet">${line(one.rule, 63)}</span>` },
  { key: 'time', label: 'When', right: true, cell: (one) => html`<time title=${full(one.time)}>${ago(one.time)}</time>` },
  may('operator') && { key: 'undo', label: html`<span class="unseen">Put back</span>`, right: true,
    cell: (one) => one.reversible && ['acting', 'acted'].includes(one.state) && html`<button type="button" class="ghost"
        aria-label=${`Put back: ${one.action} for ${line(one.service, 60)}`} onClick=${() => undo(one)}>Put back</button>` },
].filter(Boolean);

function Effect({ of: one }) {
  if (!one.effect) return html`<span class="quiet">${one.state === 'advised' ? 'advice' : 'not yet'}</span>`;
  const [tone, word] = EFFECTS[one.effect];
  return html`<span class=${tone} title=${line(one.basis, 200)}>${word}</span>`;
}

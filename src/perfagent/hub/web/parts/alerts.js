/** What is shown of an alert or an incident wherever it stands: its state, its name, and what may be done about it. */

import { html } from '../core/html.js';
import { line } from '../core/text.js';
import { Service } from './names.js';

const ACTIONS = {
  firing: [['acknowledge', 'Acknowledge'], ['dismiss', 'Dismiss']],
  escalated: [['acknowledge', 'Acknowledge'], ['dismiss', 'Dismiss']],
  acknowledged: [['resolve', 'Resolve'], ['reopen', 'Reopen']],
  dismissed: [['reopen', 'Reopen']],
};

/** The buttons that a state offers; `act` is called with the id and the action. */
export function Actions({ one, name, act }) {
  const offered = ACTIONS[one.state] ?? [];
  return offered.map(([action, text]) => html`<button key=${action} type="button" class="ghost"
      aria-label=${`${text}: ${line(name, 200)}`} onClick=${() => act(one.id, action)}>${text}</button>`);
}

/** Its state in a word, with who acted and what they said. */
export function AlertState({ one }) {
  const said = [one.by, one.note].filter(Boolean).map((text) => line(text, 300)).join(': ');
  return html`<span title=${said || undefined}>${one.state}</span>${one.muted && one.until === null
    && html`<span class="below" title=${typeof one.muted === 'string' ? line(one.muted, 200) : undefined}>kept quiet</span>`}`;
}

/** What is wrong and where, for the first column of a table. */
export const what = (one) => html`<span class="name" title=${line(one.text, 300)}>
  ${line(one.title, 100)}${one.subject && html` <span class="quiet">${line(one.subject, 80)}</span>`}
  ${one.service && html` <${Service} name=${one.service} />`}</span>`;

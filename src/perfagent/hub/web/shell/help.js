/** What `?` shows: every key that does something here. */

import { useCell } from '../core/cell.js';
import { html } from '../core/html.js';
import { keysOn, shortcuts } from '../core/keys.js';
import { Dialog } from '../parts/dialog.js';

const FIXED = [
  ['↑ ↓', 'From row to row', 'Tables and traces'],
  ['← →', 'Fold or unfold a span', 'Tables and traces'],
  ['Enter', 'Open what has the focus', 'Tables and traces'],
  ['Esc', 'Close, or leave a field', 'Tables and traces'],
];

export function Help({ close }) {
  const on = useCell(keysOn);
  const groups = grouped([...shortcuts(), ...FIXED]);
  return html`<${Dialog} title="Keyboard shortcuts" close=${close}>
    <div class="shortcuts">${[...groups].map(([group, list]) => html`<section key=${group}><h3>${group}</h3>
          <dl>${list.map(([keys, label]) => html`<div key=${keys}>
                <dt>${keys.split(' ').map((key) => html`<kbd key=${key}>${key}</kbd>`)}</dt><dd>${label}</dd></div>`)}
                </dl></section>`)}</div>
    <label class="switch"><input type="checkbox" checked=${on}
          onChange=${() => keysOn.set(!on)} /> Single keys do something</label></${Dialog}>`;
}

function grouped(list) {
  const found = new Map();
  for (const one of list) found.set(one[2], [...(found.get(one[2]) ?? []), one]);
  return found;
}

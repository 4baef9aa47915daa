/** Attributes as a table of names and values, each with what can be done with it. */

import { html } from '../core/html.js';
import { plain, sorted, valueText } from '../core/text.js';
import { Copy } from './states.js';

const LONG = 400;

/** @param {function} href where a value leads, such as to the traces that have it too */
export function Attributes({ of, href, label = 'Attributes' }) {
  const pairs = sorted(of);
  if (!pairs.length) return html`<p class="quiet">None</p>`;
  return html`<table class="attributes" aria-label=${label}><tbody>${pairs.map(([key, value]) => {
    const text = valueText(value);
    const address = href?.(key, value);
    return html`<tr key=${key}><th scope="row">${plain(key).slice(0, LONG)}</th>
        <td class=${text.length > LONG || text.includes('\n') ? 'long' : ''}>
            ${address ? html`<a href=${address} title="Traces with this value">${text}</a>` : text}</td>
      <td class="attribute-copy"><${Copy} text=${String(typeof value === 'string' ? value : JSON.stringify(value))}
            label=${`Copy ${plain(key).slice(0, 60)}`} /></td></tr>`;
  })}</tbody></table>`;
}

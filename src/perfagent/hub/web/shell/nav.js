/** Where one can go: all views, in the order of how often they are wanted. */

import { useCell } from '../core/cell.js';
import { html } from '../core/html.js';
import { link, route } from '../core/route.js';
import { dark, palette, switchTheme } from '../core/theme.js';
import { Icon } from '../parts/icon.js';

/** [name, text, the key after `g`] */
export const PLACES = [
  ['overview', 'Overview', 'o'],
  ['endpoints', 'Endpoints', 'e'],
  ['traces', 'Traces', 't'],
  ['browsers', 'Browsers', 'b'],
  ['logs', 'Logs', 'l'],
  ['queries', 'Queries', 'q'],
  ['caches', 'Caches', 'c'],
  ['databases', 'Databases', 'i'],
  ['processes', 'Processes', 'p'],
  ['profiles', 'Profiles', 'f'],
  ['metrics', 'Metrics', 'm'],
  ['deprecations', 'Deprecations', 'd'],
  ['alerts', 'Alerts', 'a'],
  ['objectives', 'Objectives', 's'],
  ['compare', 'Compare', 'v'],
  ['hub', 'Hub', 'h'],
];
const GROUPS = [
  ['', ['overview']],
  ['Requests', ['endpoints', 'traces', 'browsers', 'logs']],
  ['Data', ['queries', 'caches', 'databases']],
  ['Runtime', ['profiles', 'processes', 'metrics', 'deprecations']],
  ['Watch', ['alerts', 'objectives', 'compare', 'hub']],
];

/** The column at the left; where the window is narrow, a drawer that `open` shows. */
export function Nav({ open, close, help }) {
  const { parts } = useCell(route);
  useCell(palette);
  const here = parts[0] ?? 'overview';
  const key = (event) => event.key === 'Escape' && close();
  return html`<div class="nav ${open ? 'open' : ''}" onKeyDown=${key}>
    <div class="shade" onClick=${close}></div>
    <nav id="nav" aria-label="Views">
      <p class="brand"><svg viewBox="0 0 32 32" width="22" height="22" aria-hidden="true">
            <rect width="32" height="32" rx="8" /><path d="M6 18h5l4-10 5 16 3.5-9H26" /></svg>perfagent
        <button type="button" class="ghost nav-close" onClick=${close}>
              <${Icon} name="close" label="Close the navigation" /></button></p>
      ${GROUPS.map(([group, names]) => html`<div key=${group} class="nav-group">
        ${group && html`<p class="nav-title" id=${`nav-${group}`}>${group}</p>`}
        <ul aria-labelledby=${group ? `nav-${group}` : undefined}>
            ${names.map((name) => html`<${Place} key=${name} name=${name} here=${here === name} close=${close} />`)}
              </ul>
      </div>`)}
      <div class="nav-foot">
        <button type="button" class="ghost" onClick=${switchTheme}><${Icon} name=${dark() ? 'sun' : 'moon'} />${dark()
          ? 'Light' : 'Dark'}</button>
        <button type="button" class="ghost" onClick=${help} title="Keyboard shortcuts (?)">
              <${Icon} name="keys" />Keys</button>
      </div>
    </nav></div>`;
}

function Place({ name, here, close }) {
  const [, text, key] = PLACES.find(([one]) => one === name);
  return html`<li><a href=${link(name === 'overview' ? [] : [name])} aria-current=${here ? 'page' : undefined}
        title=${`g ${key}`} onClick=${close}><${Icon} name=${name} />${text}</a></li>`;
}

/** What was found, what has changed: each in a sentence, with the way to it. */

import { count, duration, percent, quantity } from '../core/format.js';
import { html } from '../core/html.js';
import { link, safeLink } from '../core/route.js';
import { line, plain } from '../core/text.js';
import { Icon } from './icon.js';
import { Service } from './names.js';
import { Severity } from './severity.js';

/** Findings, the worst first as the hub has them. */
export function Findings({ items }) {
  return html`<ul class="findings">
      ${items.map((one, index) => html`<${Finding} key=${`${one.kind} ${one.title} ${index}`} of=${one} />`)}</ul>`;
}

function Finding({ of }) {
  const { severity, title, evidence, impact, recommendation, service, link } = of;
  const address = safeLink(link);
  const name = line(title, 160);
  return html`<li class="finding">
    <${Severity} level=${severity} />
    <div>
      <h3>${address ? html`<a href=${address}>${name}</a>` : name} ${service && html`<${Service} name=${service} />`}
          </h3>
      <p>${line(evidence, 400)}${impact && impact !== evidence && html` <span class="quiet">${line(impact, 300)}
          </span>`}</p>
      ${recommendation && html`<p class="advice">
            <${Icon} name="arrow" size=${13} /> ${plain(recommendation).slice(0, 400)}</p>`}
      <${More} of=${of} />
    </div></li>`;
}

/** What to do step by step, what it saves, and requests that show it. */
function More({ of: { steps = [], effort, seconds_per_day: saved, requests_per_day: touched, place, stack, traces = [] } }) {
  if (!steps.length && !traces.length && !place) return null;
  const facts = [
    saved >= 1 && `saves ${duration(saved * 1000)} of waiting a day`,
    touched >= 1 && `${count(touched)} requests a day`,
    effort && `effort: ${line(effort, 10)}`,
  ].filter(Boolean);
  return html`<details class="finding-more"><summary>${facts.length ? facts.join(' · ') : 'Steps'}</summary>
    ${steps.length > 0 && html`<ol>${steps.map((step, index) => html`<li key=${index}>${line(step, 300)}</li>`)}</ol>`}
    ${place && html`<p class="quiet">From <code>${line(place, 200)}</code></p>`}
    ${stack && html`<details class="stack"><summary>Stack</summary><pre tabindex="0">${plain(stack).slice(0, 20_000)}</pre>
        </details>`}
    ${traces.length > 0 && html`<p class="quiet">Seen in ${traces.slice(0, 3).map((trace, index) => html`
        <a key=${trace} href=${link(['traces', trace])}>trace ${index + 1}</a> `)}</p>`}
  </details>`;
}

const KINDS = {
  slower: ['up', 'warn', 'Slower'],
  faster: ['down', 'good', 'Faster'],
  errors: ['critical', 'bad', 'Errors'],
  new: ['plus', 'quiet', 'New'],
  gone: ['close', 'quiet', 'Gone'],
  version: ['version', 'quiet', 'Version'],
  restart: ['restart', 'quiet', 'Restart'],
};

/** Changes; each tells before and after where it has figures. */
export function Changes({ items }) {
  return html`<ul class="changes">
      ${items.map((one, index) => html`<${Change} key=${`${one.kind} ${one.subject} ${index}`} of=${one} />`)}</ul>`;
}

function Change({ of: { kind, subject, link, before, after, unit, text } }) {
  const [icon, tone, word] = KINDS[kind] ?? ['low', 'quiet', line(kind, 20)];
  const address = safeLink(link);
  const figures = typeof before === 'number' && typeof after === 'number';
  const name = line(subject || text, 120);
  return html`<li title=${line(text, 400)}>
    <span class="mark ${tone}"><${Icon} name=${icon} /><span>${word}</span></span>
    <span class="change-subject">${address ? html`<a href=${address}>${name}</a>` : name}</span>
    <span class="change-figures">${figures ? html`<span class="quiet">${inUnit(before, unit)}
        </span> <span aria-label="became">→</span> <b>${inUnit(after, unit)}
        </b>` : html`<span class="quiet">${before && after ? `${line(before, 40)} → ${line(after, 40)}` : subject
          ? line(text, 120) : ''}</span>`}</span></li>`;
}

const inUnit = (value, unit) => (unit === 'ms' ? duration(value) : unit === 'ratio' ? percent(value)
  : quantity(value, unit ?? ''));

/** Log records, one a line; each unfolds to all it holds. */

import { full, instant } from '../core/format.js';
import { html } from '../core/html.js';
import { link } from '../core/route.js';
import { line, plain } from '../core/text.js';
import { Attributes } from './attributes.js';
import { Service } from './names.js';
import { LogSeverity, logTone } from './severity.js';

const LONGEST = 20_000;

/** @param {boolean} short without service and link, inside the trace they belong to */
export function Logs({ items, short = false, empty }) {
  if (!items.length) return html`<p class="quiet">${empty}</p>`;
  return html`<ol class="logs">${keyed(items)
      .map(([key, one]) => html`<${Log} key=${key} of=${one} short=${short} />`)}</ol>`;
}

/** A record has no id of its own: equal ones of one moment are told apart by their order. */
function keyed(items) {
  const seen = new Map();
  return items.map((one) => {
    const identity = `${one.time} ${one.instance} ${one.span_id} ${one.body.slice(0, 80)}`;
    seen.set(identity, (seen.get(identity) ?? 0) + 1);
    return [`${identity} ${seen.get(identity)}`, one];
  });
}

function Log({ of: one, short }) {
  return html`<li class=${`log-${logTone(one.number)}`}><details>
    <summary><time title=${full(one.time)}>${instant(one.time)}</time>
          <${LogSeverity} number=${one.number} word=${one.severity} />${!short
            && html`<${Service} name=${one.service} />`}
                <span class="log-body"><bdi>${line(one.event ? `${one.event}: ${one.body}` : one.body,
                    400)}</bdi></span></summary>
    <div class="log-more">
      <pre tabindex="0">${plain(one.body).slice(0, LONGEST)}</pre>
      ${one.trace_id && !short && html`<p>
            <a href=${link(['traces', one.trace_id],
                { span: one.span_id, service: null })}>The trace it was written in</a></p>`}
      <${Attributes} of=${{ ...one.attributes, ...(one.scope ? { logger: one.scope } : {}),
          instance: one.instance }} label="Attributes of the record" />
    </div></details></li>`;
}

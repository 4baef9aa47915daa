/** Everything about one span: times, outcome, place in the program, query, attributes, events, logs. */

import { duration, instant, percent } from '../core/format.js';
import { html } from '../core/html.js';
import { link } from '../core/route.js';
import { line, plain } from '../core/text.js';
import { Attributes } from './attributes.js';
import { Figure, Figures } from './figure.js';
import { Icon } from './icon.js';
import { Logs } from './logs.js';
import { Place, Service } from './names.js';
import { Sql } from './sql.js';
import { Copy } from './states.js';
import { isTimed, TimeBar, TimeTable } from './time_parts.js';

const SHOWN = new Set(['db.query.text', 'db.statement']); // has a place of its own

export function SpanPanel({ node, trace, repeated, close }) {
  const { span } = node;
  const statement = span.attributes?.['db.query.text'] ?? span.attributes?.['db.statement'];
  const rest = Object.fromEntries(Object.entries(span.attributes ?? {}).filter(([key]) => !SHOWN.has(key)));
  const logs = trace.logs.filter((log) => log.span_id === span.span_id);
  const run = node.run;
  const total = run ? run.reduce((sum, one) => sum + one.span.duration_ms, 0) : span.duration_ms;
  const key = (event) => event.key === 'Escape' && close();
  return html`<aside class="span-panel" aria-label="Span" onKeyDown=${key}>
    <header><h2><bdi>${line(span.name, 300) || '(no name)'}</bdi></h2>
        <button type="button" class="ghost" onClick=${close}><${Icon} name="close" label="Close the span" /></button>
          </header>
    <p><${Service} name=${span.service} /> <span class="quiet">${line(span.kind, 20)}</span></p>
    ${run && html`<p class="notice"><${Icon}
          name="repeat" /> ${run.length} calls in a row, ${duration(total)} in all. What follows is the first of them.</p>`}
    <${Figures}>
      <${Figure} name="Duration" value=${duration(span.duration_ms)}
            note=${percent(span.duration_ms / trace.duration_ms)} />
      <${Figure} name="Self" value=${duration(span.self_ms)} title="Time in which no child ran" />
      <${Figure} name="Critical" value=${duration(span.critical_ms)}
            title="Its own part of the critical path: the trace would be that much shorter without it" />
      <${Figure} name="Starts at" value=${duration(span.offset_ms)}
            title=${instant(trace.started + span.offset_ms / 1000)} />
    </${Figures}>
    ${!run && isTimed(span.time) && html`<section><h3>Where its time went</h3>
          <${TimeBar} label="Where its time went" time=${span.time} />
          ${span.attributes?.['perfagent.time.waits_at'] && html`<p class="place-line"><span class="quiet">Longest wait
              at</span> <${Place} caller=${line(span.attributes['perfagent.time.waits_at'], 300)} /></p>`}
          <${TimeTable} caption="Where the time of this span went" columns=${[['Time', span.time]]} />
          ${'perfagent.time.on_loop' in (span.attributes ?? {}) && html`<p class="quiet">It held the event loop for
              ${' '}${duration(span.attributes['perfagent.time.on_loop'] / 1e6)}: nothing else ran on it meanwhile.</p>`}
          </section>`}
    ${span.status === 'error' && html`<p class="notice bad">
          <${Icon} name="critical" /> Failed${span.status_code ? ` with ${span.status_code}` : ''}
            ${span.status_message ? `: ${plain(span.status_message).slice(0, 2000)}` : ''}</p>`}
    ${repeated > 1 && html`<p class="notice">
          <${Icon} name="repeat" /> This query ran ${repeated} times under the same span.</p>`}
    ${span.caller && html`<section><h3>Called from</h3>
          <p class="place-line"><${Place} caller=${span.caller} />
              <${Copy} text=${span.caller.split(' ')[0]} label="Copy file and line" /></p></section>`}
    ${statement && html`<section><h3>Query <${Copy} text=${statement} label="Copy the query" /></h3>
          <${Sql} text=${statement} block=${true} /></section>`}
    ${operationLink(span) && html`<p><a href=${operationLink(span)}>
          ${span.category === 'db' ? 'All calls of this query' : 'All requests of this endpoint'}</a></p>`}
    ${span.events?.length > 0 && html`<section><h3>Events</h3>
          ${span.events.map((event, index) => html`<${Event} key=${index} event=${event} />`)}</section>`}
    ${logs.length > 0 && html`<section><h3>Logs</h3><${Logs} items=${logs} short=${true} /></section>`}
    <section><h3>Attributes</h3><${Attributes} of=${rest} href=${(name,
        value) => (typeof value === 'object' ? null : link(['traces'], { attribute: `${name}=${value}` }))} /></section>
    ${span.links?.length > 0 && html`<section><h3>Links</h3>
          <ul>${span.links.map((one) => html`<li key=${one.span_id}>
                <a href=${link(['traces', one.trace_id], { span: one.span_id })}>${line(one.trace_id, 32)}</a></li>`)}
                </ul></section>`}
    <section><h3>Identity</h3><${Attributes} label="Identity" of=${{ instance: span.instance ?? '',
        operation: span.operation, span: span.span_id, parent: span.parent_id ?? '' }} /></section>
  </aside>`;
}

function operationLink({ category, operation }) {
  if (category === 'db') return link(['queries', operation]);
  return category === 'server' || category === 'consumer' ? link(['endpoints', operation]) : null;
}

const NAMES = { 'perfagent.loop.blocked': 'The event loop is blocked' };

function Event({ event }) {
  const { 'exception.type': type, 'exception.message': message, 'exception.stacktrace': raised,
    'code.stacktrace': at, ...rest } = event.attributes ?? {};
  const stack = raised ?? at;
  return html`<div class="event"><p><b>${line(type ?? NAMES[event.name] ?? event.name, 200)}
        </b> <span class="quiet">at ${duration(event.offset_ms)}</span></p>
    ${message && html`<p>${plain(message).slice(0, 4000)}</p>`}
    ${stack && html`<details open><summary>Stack</summary><pre tabindex="0">${plain(stack).slice(0, 20_000)}</pre>
        </details>`}
    ${Object.keys(rest).length > 0 && html`<${Attributes} of=${rest} label="Attributes of the event" />`}</div>`;
}

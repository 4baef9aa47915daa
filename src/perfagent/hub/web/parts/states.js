/** What stands where there is nothing to see: on its way, empty, failed; each says what to do next. */

import { useCell } from '../core/cell.js';
import { html, useEffect, useRef, useState } from '../core/html.js';
import { range, setRange, widen } from '../core/range.js';
import { takes } from '../core/role.js';
import { Icon } from './icon.js';

/** A command to type, with a button that copies it. */
export function Command({ text }) {
  return html`<span class="command"><code>${text}</code><${Copy} text=${text} label=${`Copy the command ${text}`} />
    </span>`;
}

/** A button that copies a text; says so for a moment. */
export function Copy({ text, label = 'Copy' }) {
  const [done, setDone] = useState('');
  const timer = useRef(0);
  useEffect(() => () => clearTimeout(timer.current), []);
  const copy = async () => {
    const told = await navigator.clipboard?.writeText(text).then(() => 'Copied', () => 'Not allowed');
    setDone(told ?? 'Not allowed');
    timer.current = setTimeout(() => setDone(''), 1500);
  };
  return html`<button type="button" class="ghost copy" onClick=${copy} aria-label=${label} title=${label}>
    <${Icon} name=${done === 'Copied' ? 'check' : 'copy'} /><span role="status" class="copied">${done}</span></button>`;
}

/** An empty place: what is not there, why that may be, and the next step. */
export function Empty({ icon = 'search', title, children }) {
  return html`<div class="empty"><${Icon} name=${icon} size=${28} /><h2>${title}</h2><div>${children}</div></div>`;
}

/** Nothing in this range: the ranges that may hold more. */
export function NothingHere({ what, icon, children }) {
  const { label, seconds } = range();
  return html`<${Empty} icon=${icon} title=${`No ${what}: ${label.charAt(0).toLowerCase()}${label.slice(1)}`}>
    ${children}
    <p class="row-of-buttons">
      ${seconds < 86400 && html`<button type="button"
            onClick=${() => setRange('-24h')}>Show the last 24 hours</button>`}
      <button type="button" onClick=${widen}>Twice the range</button>
    </p></${Empty}>`;
}

/** Nothing has ever arrived: how to send something. */
export function FirstSteps() {
  if (!useCell(takes)) {
    return html`<${Empty} icon="overview" title="Nothing to read yet">
      <p>This hub reads from Prometheus and Jaeger, and they have told nothing of any program so far.</p>
      <p>Programs send to the Collector in front of them:</p>
      <p><${Command} text="OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318 perfagent run python app.py" /></p>
      <p class="quiet">The view <a href="#/hub">Hub</a> tells whether both answer.</p></${Empty}>`;
  }
  return html`<${Empty} icon="overview" title="Waiting for the first data">
    <p>Start your program under the agent; nothing in it has to change:</p>
    <p><${Command} text="perfagent run python app.py" /></p>
    <p>Any OpenTelemetry SDK can send here, too:</p>
    <p><${Command} text=${`OTEL_EXPORTER_OTLP_ENDPOINT=${location.origin}`} /></p>
    <p class="quiet">This page shows it a moment after it arrives. If nothing does, <code>perfagent doctor</code> finds the step that is broken.</p>
    </${Empty}>`;
}

/** The hub wants a sign-in. */
export function SignedOut() {
  return html`<main class="alone" id="main"><${Empty} icon="hub" title="This browser is not signed in">
    <p>A link that opens this page is good for 15 minutes. For a new one, type on the machine of the hub:</p>
    <p><${Command} text="perfagent hub --open" /></p>
    <p><button type="button" onClick=${() => location.reload()}>Try again</button></p></${Empty}></main>`;
}

/** What the hub said no with. */
export function Failed({ error, again }) {
  const title = error.status === 404 ? 'Not here' : error.status === 403 ? 'Not allowed' : error.status === 0
    ? 'The hub is away' : 'The hub could not answer';
  return html`<${Empty} icon="high" title=${title}>
    <p>${error.message}</p>
    ${error.status === 404 && html`<p>It may be older than what the hub keeps.</p>`}
    ${error.status === 0 && html`<p>It may have stopped. <code>perfagent hub</code> starts it.</p>`}
    <p class="row-of-buttons"><button type="button" onClick=${again}>Try again</button></p></${Empty}>`;
}

/** Grey shapes of what is on its way; shown after a moment, so that what is fast does not flicker. */
export function Loading({ rows = 6 }) {
  return html`<div class="loading" role="status"><span class="unseen">Loading…</span>
      ${Array.from({ length: rows }, (_, index) => html`<i key=${index}></i>`)}</div>`;
}

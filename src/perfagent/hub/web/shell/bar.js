/** The bar over every view: which service, which time, and what happens at this moment. */

import { signedOut } from '../core/api.js';
import { useCell } from '../core/cell.js';
import { useData } from '../core/data.js';
import { duration, percent, rate } from '../core/format.js';
import { html, useEffect, useRef, useState } from '../core/html.js';
import { liveState, snapshot, togglePause } from '../core/live.js';
import { PRESETS, range, setRange, shift, widen } from '../core/range.js';
import { route, setQuery } from '../core/route.js';
import { line } from '../core/text.js';
import { Icon } from '../parts/icon.js';

export function Bar({ menu, menuOpen }) {
  return html`<header class="bar">
    <button type="button" class="ghost menu" onClick=${menu} aria-expanded=${String(menuOpen)} aria-controls="nav">
        <${Icon} name="menu" label="Views" /></button>
    <${Now} />
    <${Service} />
    <${Range} />
    <${Live} />
  </header>`;
}

/** The last seconds in three figures. */
function Now() {
  const now = useCell(snapshot);
  const { query } = useCell(route);
  const service = query.get('service');
  const shown = service ? now?.services?.find((one) => one.service === service) : now;
  if (!shown) return html`<p class="now"></p>`;
  const { requests_per_second: requests, error_ratio: errors, p95_ms: p95 } = shown;
  return html`<p class="now" title="The last seconds"><span>now</span>
    <b>${rate(requests)}</b>
    ${requests > 0 && html`<b class=${errors > 0 ? 'bad' : ''}>${percent(errors)} errors</b><b>p95 ${duration(p95)}</b>`}
  </p>`;
}

function Service() {
  const { query } = useCell(route);
  const { from, to } = range(query);
  const { data } = useData('services', { from, to });
  const chosen = query.get('service') ?? '';
  const names = [...new Set([...(data?.items ?? []).map((one) => one.service), ...(chosen ? [chosen] : [])])].sort();
  const choose = (event) => setQuery({ service: event.currentTarget.value || null, cursor: null }, true);
  return html`<label class="field service"><span class="unseen">Service</span>
    <select id="service" value=${chosen} onChange=${choose}>
      <option value="" selected=${!chosen}>All services</option>
      ${names.map((name) => html`<option key=${name} value=${name} selected=${name === chosen}>${line(name, 60)}</option>`)}
    </select></label>`;
}

/** The time range: a button that opens the choices. */
function Range() {
  const { query } = useCell(route);
  const [open, setOpen] = useState(false);
  const box = useRef(null);
  const now = range(query);
  useEffect(() => {
    if (!open) return undefined;
    box.current.querySelector('.popover [aria-pressed=true], .popover button')?.focus();
    const away = (event) => box.current.contains(event.target) || setOpen(false);
    document.addEventListener('pointerdown', away);
    return () => document.removeEventListener('pointerdown', away);
  }, [open]);
  const done = () => {
    setOpen(false);
    document.getElementById('range').focus();
  };
  const choose = (value) => {
    setRange(value);
    done();
  };
  const key = (event) => {
    if (event.key === 'Escape' && open) {
      event.stopPropagation();
      done();
    }
  };
  return html`<div class="range" ref=${box} onKeyDown=${key}>
    <button type="button" id="range" aria-expanded=${String(open)} aria-haspopup="dialog" onClick=${() => setOpen(!open)}>
      <${Icon} name="clock" /><span>${now.label}</span><${Icon} name="down" size=${12} /></button>
    ${open && html`<div class="popover" role="dialog" aria-label="Time range">
      <div class="presets">${PRESETS.map(([value, text]) => html`<button key=${value} type="button"
        aria-pressed=${String(now.to === 'now' && now.from === value)} onClick=${() => choose(value)}>${text}</button>`)}
      </div>
      <${Custom} now=${now} done=${done} />
      <div class="row-of-buttons">
        <button type="button" class="ghost" onClick=${() => shift(-1)}>Earlier</button>
        <button type="button" class="ghost" onClick=${() => shift(1)} disabled=${now.to === 'now'}>Later</button>
        <button type="button" class="ghost" onClick=${widen}><${Icon} name="out" />Widen</button>
      </div>
    </div>`}</div>`;
}

// What <input type="datetime-local"> takes: local time without a zone.
const local = (seconds) => new Date(seconds * 1000 - new Date(seconds * 1000).getTimezoneOffset() * 60_000)
  .toISOString().slice(0, 19);

function Custom({ now, done }) {
  const [wrong, setWrong] = useState('');
  const apply = (event) => {
    event.preventDefault();
    const [from, to] = ['from', 'to'].map((name) => Date.parse(event.currentTarget.elements[name].value) / 1000);
    if (!(from < to)) return setWrong('The start must lie before the end.');
    setRange(from, to);
    return done();
  };
  return html`<form class="custom" onSubmit=${apply}>
    <label>From <input type="datetime-local" name="from" step="1" required defaultValue=${local(now.begin)} /></label>
    <label>To <input type="datetime-local" name="to" step="1" required defaultValue=${local(now.end)} /></label>
    ${wrong && html`<p class="bad" role="alert">${wrong}</p>`}
    <button type="submit">Show this range</button></form>`;
}

const TOLD = { on: 'Live', paused: 'Paused', connecting: 'Connecting', off: 'Off' };

function Live() {
  const state = useCell(liveState);
  const { query } = useCell(route);
  useCell(signedOut);
  const fixed = !range(query).relative;
  const label = state === 'paused' ? 'Resume' : 'Pause';
  const told = fixed && state === 'on' ? 'Past' : TOLD[state];
  return html`<button type="button" class="live ${fixed ? 'fixed' : state}" onClick=${togglePause}
      aria-label=${`${label}: ${told}`} title=${fixed ? 'This range lies in the past; it does not move'
        : `${label} (p)`}>
    <${Icon} name=${state === 'paused' ? 'play' : 'pause'} size=${14} /><i></i><span>${told}</span></button>`;
}

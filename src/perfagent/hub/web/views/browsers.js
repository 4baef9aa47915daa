/** Browsers: what visitors' browsers measure of each page, and single loads with the trace of their request. */

import { useCell } from '../core/cell.js';
import { useData, useFilters, useList } from '../core/data.js';
import { bytes, count, duration, full, number, percent, when } from '../core/format.js';
import { html } from '../core/html.js';
import { link, route, setQuery } from '../core/route.js';
import { line } from '../core/text.js';
import { Chips } from '../parts/fields.js';
import { Figure, Figures } from '../parts/figure.js';
import { Name } from '../parts/names.js';
import { Command, NothingHere } from '../parts/states.js';
import { Table } from '../parts/table.js';
import { View } from '../parts/view.js';
import { shown, Vital, VITALS } from '../parts/vital.js';

export default function BrowsersView() {
  const { query } = useCell(route);
  const filters = useFilters();
  const list = useList('browsers', { ...filters, limit: 200 });
  const chosen = query.get('page');
  const loads = useData('browsers/loads', { ...filters, page: chosen, limit: 50 });
  const one = chosen && list.items?.find((page) => page.page === chosen);
  return html`<${View} name="browsers" title="Browsers" source=${list}>${() => !list.items.length
    ? html`<${NothingHere} what="pages measured by browsers" icon="browsers">
        <p>One setting puts a small script into the program's HTML pages:</p>
        <p><${Command} text="PERFAGENT_RUM=true perfagent run python app.py" /></p></${NothingHere}>`
    : html`
      ${chosen && html`<div class="filters"><${Chips} items=${[[line(chosen, 80), () => setQuery({ page: null })]]} />
        </div>`}
      ${one ? html`<${Page} page=${one} />` : html`<${Pages} items=${list.items} list=${list} />`}
      <${Loads} items=${loads.data?.items ?? []} page=${chosen} />`}</${View}>`;
}

const vital = (key) => ({ key, label: key.toUpperCase(), right: true, wide: key === 'fcp' || key === 'ttfb',
  title: `${VITALS[key]}, 75th percentile`, value: (one) => one.vitals[key]?.p75,
  cell: (one) => html`<${Vital} name=${key} of=${one.vitals[key]} />` });

function Pages({ items, list }) {
  const columns = [
    { key: 'page', label: 'Page', grow: true, rising: true, value: (one) => one.page,
      cell: (one) => html`<${Name} name=${one.page} service=${one.service} />` },
    { key: 'loads', label: 'Loads', right: true, value: (one) => one.loads, cell: (one) => count(one.loads) },
    ...Object.keys(VITALS).map(vital),
    { key: 'load', label: 'Loaded', right: true, wide: true, title: 'Until the page was loaded, 75th percentile',
      value: (one) => one.load_p75_ms, cell: (one) => duration(one.load_p75_ms) },
    { key: 'frames', label: 'Slow frames', right: true, wide: true, title: 'Frames that took 33 ms and more',
      value: (one) => one.slow_frames, cell: (one) => percent(one.slow_frames) },
    { key: 'errors', label: 'Errors', right: true, title: 'Errors of scripts', value: (one) => one.errors,
      cell: (one) => html`<span class=${one.errors ? 'bad' : ''}>${count(one.errors)}</span>` },
  ];
  return html`<${Table} caption="Pages" columns=${columns} rows=${items} id=${(one) => `${one.service} ${one.page}`}
      href=${(one) => link(['browsers'], { page: one.page, service: one.service })} sorted="loads" list=${list}
      primary=${true} />`;
}

function Page({ page }) {
  const sources = Object.entries(page.error_sources);
  return html`<${Figures}>
      <${Figure} name="Loads" value=${count(page.loads)} />
      ${Object.keys(VITALS).map((key) => html`<${Figure} key=${key} name=${key.toUpperCase()} title=${VITALS[key]}
        value=${html`<${Vital} name=${key} of=${page.vitals[key]} shares=${true} />`} />`)}
      <${Figure} name="Loaded" value=${duration(page.load_p75_ms)} />
      <${Figure} name="Frames, 95 %" value=${duration(page.frame_p95_ms)} note=${page.slow_frames === null ? null
        : `${percent(page.slow_frames)} slow`} />
      <${Figure} name="Long tasks" value=${count(page.long_tasks)} note=${page.long_tasks
        ? duration(page.long_task_p75_ms) : null} />
      <${Figure} name="Upload" value=${page.upload_bytes_per_second === null ? '–'
        : `${bytes(page.upload_bytes_per_second)}/s`} />
      <${Figure} name="Errors" value=${count(page.errors)} tone=${page.errors ? 'bad' : ''} />
    </${Figures}>
    ${sources.length > 0 && html`<p class="notice bad">Errors in ${sources.map(([source, times]) =>
        `${line(source, 80)} (${number(times)})`).join(', ')}</p>`}
    <p class="row-of-buttons"><a href=${link(['traces'], { route: page.page })}>Traces of the requests for this page</a></p>`;
}

/** Loads of which the hub knows the request. */
function Loads({ items, page }) {
  if (!items.length) return null;
  const columns = [
    { key: 'time', label: 'Told', cell: (one) => html`<time title=${full(one.time)}>${when(one.time)}</time>` },
    !page && { key: 'page', label: 'Page', grow: true,
      cell: (one) => html`<${Name} name=${one.page} service=${one.service} />` },
    ...Object.keys(VITALS).map((key) => ({ key, label: key.toUpperCase(), right: true,
      wide: key === 'fcp' || key === 'ttfb', cell: (one) => shown(key, one.values[key]) })),
    { key: 'loaded', label: 'Loaded', right: true, wide: true, cell: (one) => duration(one.values.page_load) },
  ].filter(Boolean);
  return html`<section class="panel" aria-label="Loads"><header><h2>Loads with their trace</h2></header>
    <${Table} caption="Loads" columns=${columns} rows=${items} id=${(one) => `${one.trace_id} ${one.page}`}
      href=${(one) => link(['traces', one.trace_id], { service: null, page: null })} /></section>`;
}

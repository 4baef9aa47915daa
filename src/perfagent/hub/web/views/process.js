/** One process: its vital signs over time, what it is, and what it can be asked to do. */

import { useData, useFilters } from '../core/data.js';
import { ago, bytes, count, duration, full, mean, percent, rate } from '../core/format.js';
import { html } from '../core/html.js';
import { link } from '../core/route.js';
import { line } from '../core/text.js';
import { Attributes } from '../parts/attributes.js';
import { Chart } from '../parts/chart.js';
import { Commands } from '../parts/commands.js';
import { Figure, Figures } from '../parts/figure.js';
import { Findings } from '../parts/findings.js';
import { Memory } from '../parts/memory.js';
import { Service } from '../parts/names.js';
import { Panel, View } from '../parts/view.js';
import { Alive } from './processes.js';

const SIGNS = [
  ['cpu_ratio', 'CPU', 'ratio', 'of one core'],
  ['memory_bytes', 'Memory', 'By', 'resident'],
  ['lag_p99_ms', 'Lag of the event loop', 'ms', 'p99'],
  ['gc_p99_ms', 'Garbage collection', 'ms', 'p99'],
  ['threads', 'Threads', '1', 'threads'],
  ['descriptors', 'Open files', '1', 'descriptors'],
];

export default function ProcessView({ subject }) {
  const { service, ...within } = useFilters();
  const source = useData(`processes/${encodeURIComponent(subject)}`, within);
  const one = source.data?.process;
  const title = one ? html`<bdi>${line(one.service, 60)}
    </bdi> <${Service} name=${one.pid ? `process ${one.pid}` : line(one.instance, 36)} />` : 'Process';
  return html`<${View} name="process" title=${title} label=${one?.service ?? 'Process'}
      crumbs=${[['Processes', link(['processes'])]]} source=${source} actions=${one && html`<${Alive} of=${one} />`}>
        ${(data) => html`<${Content} data=${data} instance=${subject} within=${within} />`}</${View}>`;
}

/** The lines that block the event loops of the service, where some do. */
function Blocks({ service }) {
  const { service: _, ...within } = useFilters();
  const { data } = useData('insights', { ...within, service });
  const items = (data?.items ?? []).filter((one) => one.kind === 'blocked_loop');
  return items.length > 0 && html`<${Panel} title="What blocks the event loop"><${Findings} items=${items} /></${Panel}>`;
}

function Content({ data: { process: one, series, attributes, range }, instance, within }) {
  const measured = SIGNS.filter(([key]) => series[key]?.some((value) => value !== null));
  const span = range && [range.from, range.to];
  return html`
    <${Figures}>
      <${Figure} name="Requests" value=${rate(one.requests_per_second)} />
      <${Figure} name="CPU" value=${percent(one.cpu_ratio)} />
        <${Figure} name="Memory" value=${bytes(one.memory_bytes)} />
      <${Figure} name="Loop lag p99" value=${duration(one.lag_p99_ms)} />
      <${Figure} name="GC" value=${duration(one.gc_p99_ms)}
          note=${one.gc_collections_per_minute === null ? '' : `${mean(one.gc_collections_per_minute)} a minute`} />
      <${Figure} name="Started" value=${ago(one.started)} title=${full(one.started)} />
      <${Figure} name="Exported" value=${count(one.exported)}
          note=${one.dropped ? `${count(one.dropped)} dropped` : ''} tone=${one.dropped ? 'warn' : ''}
              title="Spans, logs and points that its agent has sent" />
      ${one.internal_errors > 0 && html`<${Figure} name="Agent's errors" value=${count(one.internal_errors)}
            tone="warn" />`}
    </${Figures}>
    ${measured.length ? html`<div class="columns thirds">
          ${measured.map(([key, label, unit, name]) => html`<${Panel} key=${key} title=${label}>
                <${Chart} label=${label} time=${series.time} span=${span} unit=${unit}
                    series=${[{ label: name, values: series[key], colour: '--accent', fill: true }]} /></${Panel}>`)}
                      </div>` : html`<p class="quiet">No vital signs in this range.</p>`}
    <${Memory} instance=${instance} within=${within} alive=${one.alive} />
    <${Blocks} service=${one.service} />
    <${Commands} instance=${instance} />
    <${Panel} title="What it is"><${Attributes} of=${attributes} label="Attributes of the process" /></${Panel}>`;
}

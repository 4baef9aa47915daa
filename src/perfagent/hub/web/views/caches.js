/** Caches: how often they help, how full they are, and a way to empty them. */

import { send } from '../core/api.js';
import { useCell } from '../core/cell.js';
import { useData, useFilters } from '../core/data.js';
import { count, percent, rate } from '../core/format.js';
import { html, useState } from '../core/html.js';
import { may, role } from '../core/role.js';
import { line } from '../core/text.js';
import { Confirm } from '../parts/dialog.js';
import { Economics, saved } from '../parts/economics.js';
import { Share } from '../parts/figure.js';
import { Name } from '../parts/names.js';
import { Spark } from '../parts/spark.js';
import { NothingHere } from '../parts/states.js';
import { Table } from '../parts/table.js';
import { View } from '../parts/view.js';

const POOR = 0.5; // hit ratio below which a cache hardly pays

export default function CachesView() {
  useCell(role);
  const source = useData('caches', { ...useFilters(), limit: 200 });
  const worth = useData('caches/economics', { ...useFilters(), limit: 20 });
  const [asked, setAsked] = useState(null);
  const [told, setTold] = useState('');
  const clear = async () => {
    setAsked(null);
    const body = { cache: asked.name, ...(asked.service ? { service: asked.service } : {}) };
    const answer = await send('POST', 'cache/clear', body).then(toldOf, (error) => error.message);
    setTold(answer);
  };
  const columns = [
    { key: 'name', label: 'Cache', grow: true, rising: true, value: (one) => one.name,
      cell: (one) => html`<${Name} name=${one.name} service=${one.service} /> <span class="quiet">
          ${line(one.system, 30)}</span>` },
    { key: 'ratio', label: 'Hits', right: true, value: (one) => one.hit_ratio,
      cell: (one) => html`<${Share} ratio=${one.hit_ratio}
          tone=${one.hit_ratio !== null && one.hit_ratio < POOR ? 'warn' : ''}>${percent(one.hit_ratio)}</${Share}>` },
    { key: 'spark', label: 'Over time', wide: true,
      cell: (one) => html`<${Spark} values=${one.spark_hit_ratio} top=${1} />` },
    { key: 'saved', label: 'Saves a day', right: true, value: (one) => one.saved_seconds_per_day,
      cell: (one) => html`<span class=${one.saved_seconds_per_day < 0 ? 'bad' : ''}>
          ${saved(one.saved_seconds_per_day)}</span>` },
    { key: 'lookups', label: 'Lookups', right: true, value: (one) => one.lookups_per_second,
      cell: (one) => rate(one.lookups_per_second) },
    { key: 'hits', label: 'Hit', right: true, wide: true, value: (one) => one.hits, cell: (one) => count(one.hits) },
    { key: 'misses', label: 'Missed', right: true, wide: true, value: (one) => one.misses,
      cell: (one) => count(one.misses) },
    { key: 'size', label: 'Entries', right: true, wide: true, value: (one) => one.size,
      cell: (one) => html`${count(one.size)}
        ${one.max_size ? html` <span class="quiet">of ${count(one.max_size)}</span>` : ''}` },
    { key: 'full', label: 'Full', right: true, wide: true, value: (one) => one.utilisation,
      cell: (one) => percent(one.utilisation) },
    { key: 'evictions', label: 'Evicted', right: true, wide: true, value: (one) => one.evictions,
      cell: (one) => count(one.evictions) },
    may('operator') && { key: 'clear', label: html`<span class="unseen">Clear</span>`, right: true,
      cell: (one) => html`<button type="button" class="ghost" onClick=${() => setAsked(one)}>Clear…</button>` },
  ].filter(Boolean);
  return html`<${View} name="caches" title="Caches" source=${source}>${(data) => html`
    ${told && html`<p class="notice" role="status">${told}</p>`}
    ${data.items.length
      ? html`<${Table} caption="Caches" columns=${columns} rows=${data.items}
          id=${(one) => `${one.service} ${one.system} ${one.name}`} sorted="lookups" />`
      : html`<${NothingHere} what="caches" icon="caches">
          <p>Redis, Memcached, Django's cache and <code>functools.lru_cache</code> appear by themselves once a program uses them.</p>
          </${NothingHere}>`}
    ${worth.data && html`<${Economics} items=${worth.data.items} />`}
    ${asked && html`<${Confirm} title=${`Clear ${line(asked.name, 60)}?`} action="Clear the cache" onConfirm=${clear}
          close=${() => setAsked(null)}>
      <p>Every process of ${line(asked.service,
          60)} is asked to empty it. Until it has filled again, what it spares is done anew.</p></${Confirm}>`}`}
            </${View}>`;
}

function toldOf(answer) {
  const asked = answer.asked ?? answer.items ?? [];
  return asked.length ? `Asked ${asked.length} ${asked.length === 1 ? 'process'
      : 'processes'} to clear it; each does so with its next export.` : 'No process is there that could clear it.';
}

/** What caches are worth: seconds saved, why look-ups miss, what is asked for most, and what others would bring. */

import { useCell } from '../core/cell.js';
import { bytes, count, duration, percent, quantity } from '../core/format.js';
import { html, useLayoutEffect, useRef, useState } from '../core/html.js';
import { line } from '../core/text.js';
import { colour, palette } from '../core/theme.js';
import uPlot from '../vendor/uplot.js';
import { Figure, Figures, Share } from './figure.js';
import { Place, Service } from './names.js';
import { Table } from './table.js';
import { Panel } from './view.js';

const CAUSES = [
  ['cold', 'never set before', '--c8'],
  ['expired', 'expired', '--accent'],
  ['evicted', 'gone before its time', '--accent-2'],
  ['dropped', 'deleted by the program', '--accent-3'],
];
const HEIGHT = 132;
const FEW = 8; // entries
const WIDE = 300; // px that six labels take
const FONT = '11px Inter, "Segoe UI", Roboto, Arial, sans-serif';

/** One panel for each cache. */
export function Economics({ items }) {
  return items.map((one) => html`<${Worth} key=${`${one.service} ${one.system} ${one.name} ${one.address}`} of=${one} />`);
}

function Worth({ of }) {
  const [shape, setShape] = useState('');
  const shown = of.shapes.find((one) => one.shape === shape) ?? of.shapes.find((one) => one.longer.length) ?? of;
  const name = `${line(of.name || of.system, 60)}: what it saves`;
  return html`<${Panel} title=${name} className="worth" note=${html`<${Service} name=${of.service} /> ${line(of.address, 80)}`}>
    <${Figures}>
      <${Figure} name="Saves a day" value=${saved(of.saved_seconds_per_day)} tone=${of.saved_seconds_per_day < 0 ? 'bad' : ''}
        note=${of.saved_seconds_per_day < 0 ? 'it costs more than it saves' : ''}
        title="Hits at the price of a miss, without what look-ups and sets take; if it goes on like that" />
      <${Figure} name="Hits" value=${percent(of.hit_ratio)} note=${`of ${count(of.gets)}`} />
      <${Figure} name="A miss takes" value=${duration(of.miss_cost_ms)} title="From a miss to the set that follows" />
      <${Figure} name="A look-up takes" value=${duration(of.lookup_ms)} />
      ${of.size !== null && html`<${Figure} name=${of.size_known ? 'Entries at most' : 'Entries, about'} value=${count(of.size)} />`}
    </${Figures}>
    <${Why} misses=${of.misses} />
    <div class="what-if">
      <${Curve} title=${`If ${shown.shape || 'values'} lived longer`} unit="s" points=${shown.longer}
          nothing="Nothing in it has a time to live." />
      <${Curve} title="If it were larger" unit="" points=${of.size >= FEW ? of.larger : []}
          nothing=${of.size >= FEW ? 'Too little was used twice to tell.' : 'It has too few entries to tell.'} />
    </div>
    <${Shapes} items=${of.shapes} shown=${shown.shape} choose=${setShape} />
    <${Hottest} items=${of.hottest} />
    ${of.watched !== null && of.watched < 0.999 && html`<p class="quiet">Estimated from ${percent(of.watched)} of its keys.</p>`}
  </${Panel}>`;
}

/** Seconds that were saved, or lost. */
export const saved = (seconds) => (seconds === null ? duration(null)
  : `${seconds < 0 ? '−' : ''}${duration(Math.abs(seconds) * 1000)}`);

/** Why look-ups found nothing, as parts of a bar. */
function Why({ misses }) {
  const all = CAUSES.reduce((sum, [cause]) => sum + misses[cause], 0);
  if (!all) return null;
  const parts = CAUSES.filter(([cause]) => misses[cause] > 0);
  return html`<div class="why"><p class="quiet">Why look-ups missed</p>
    <div class="why-bar" aria-hidden="true">${parts.map(([cause, , tone]) =>
        html`<i key=${cause} style=${{ flexGrow: misses[cause], background: `var(${tone})` }}></i>`)}</div>
    <ul class="legend">${parts.map(([cause, words, tone]) => html`<li key=${cause}>
        <i class="swatch" style=${{ background: `var(${tone})` }}></i>${words} <b>${percent(misses[cause] / all)}</b></li>`)}
    </ul></div>`;
}

/** The hit ratio at multiples of what is set now, which is marked. */
function Curve({ title, unit, points, nothing }) {
  const holder = useRef(null);
  const colours = useCell(palette);
  const told = points.map((one) => `${amount(one, unit)}: ${percent(one.hit_ratio)}`).join(', ');
  useLayoutEffect(() => {
    if (!points.length) return undefined;
    const plot = new uPlot(drawn(points, unit), [points.map((one, index) => index), points.map((one) => one.hit_ratio)],
      holder.current);
    const size = new ResizeObserver(() => plot.setSize({ width: Math.max(holder.current.clientWidth, 60), height: HEIGHT }));
    size.observe(holder.current);
    return () => {
      size.disconnect();
      plot.destroy();
    };
  }, [told, colours]);
  const best = mostFor(points);
  return html`<figure class="chart curve"><figcaption>${line(title, 80)}</figcaption>
    ${points.length ? html`<div class="plot" ref=${holder} role="img" style=${{ height: `${HEIGHT}px` }}
          aria-label=${`${title}. Hits at ${told}`}></div>
        <p class="quiet">${best ? html`<b>${amount(best, unit)}</b> would raise hits to
            <b> ${percent(best.hit_ratio)}</b>${best.seconds_per_day > 0 ? html` and save <b>${duration(best.seconds_per_day
            * 1000)}</b> a day` : ''}.` : 'More would bring little.'}</p>`
      : html`<p class="quiet">${nothing}</p>`}</figure>`;
}

const amount = (point, unit) => (point ? unit ? quantity(point.value, unit) : count(Math.round(point.value)) : null);

// The least that brings most of what there is to be had, as the finding has it.
function mostFor(points) {
  const now = points.find((one) => one.factor === 1);
  if (!now) return null;
  const gain = Math.max(...points.map((one) => one.hit_ratio)) - now.hit_ratio;
  return gain < 0.05 ? null : points.find((one) => one.factor > 1 && one.hit_ratio - now.hit_ratio >= 0.7 * gain);
}

function drawn(points, unit) {
  const axis = { stroke: colour('--muted'), font: FONT, grid: { stroke: colour('--line'), width: 1 }, ticks: { show: false } };
  const stroke = colour('--accent');
  const now = points.findIndex((one) => one.factor === 1);
  return {
    width: 300,
    height: HEIGHT,
    padding: [8, 18, 0, 0],
    legend: { show: false },
    cursor: { show: false },
    scales: { x: { time: false, range: [-0.15, points.length - 0.85] }, y: { range: [0, 1.04] } },
    axes: [
      { ...axis, size: 24, gap: 4, splits: points.map((one, index) => index), space: 40,
        values: (plot, splits) => splits.map((index) => (plot.width < WIDE && index % 2 ? null : amount(points[index], unit))) },
      { ...axis, size: 44, gap: 6, splits: [0, 0.5, 1], values: (plot, splits) => splits.map((one) => percent(one)) },
    ],
    series: [{}, { stroke, width: 1.5, points: { show: true, size: 5, fill: stroke } }],
    hooks: { draw: [(plot) => markNow(plot, now)] },
  };
}

function markNow(plot, at) {
  const { ctx, bbox } = plot;
  const x = plot.valToPos(at, 'x', true);
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = colour('--muted');
  ctx.setLineDash([3, 3]);
  ctx.beginPath();
  ctx.moveTo(x, bbox.top);
  ctx.lineTo(x, bbox.top + bbox.height);
  ctx.stroke();
  ctx.font = `${11 * devicePixelRatio}px sans-serif`;
  ctx.textAlign = 'left';
  ctx.fillText('now', x + 4 * devicePixelRatio, bbox.top + bbox.height - 5 * devicePixelRatio);
  ctx.restore();
}

function Shapes({ items, shown, choose }) {
  if (!items.length) return null;
  const columns = [
    { key: 'shape', label: 'Keys', grow: true, rising: true, value: (one) => one.shape,
      cell: (one) => html`<button type="button" class="ghost shape" aria-pressed=${String(one.shape === shown)}
          onClick=${() => choose(one.shape)}><code>${line(one.shape, 120)}</code></button>` },
    { key: 'saved', label: 'Saves a day', right: true, value: (one) => one.saved_seconds_per_day,
      cell: (one) => html`<span class=${one.saved_seconds_per_day < 0 ? 'bad' : ''}>${saved(one.saved_seconds_per_day)}</span>` },
    { key: 'hits', label: 'Hits', right: true, value: (one) => one.hit_ratio,
      cell: (one) => (one.gets ? html`<${Share} ratio=${one.hit_ratio}>${percent(one.hit_ratio)}</${Share}>` : 'never read') },
    { key: 'gets', label: 'Lookups', right: true, value: (one) => one.gets, cell: (one) => count(one.gets) },
    { key: 'sets', label: 'Sets', right: true, wide: true, value: (one) => one.sets, cell: (one) => count(one.sets) },
    { key: 'size', label: 'Size', right: true, wide: true, value: (one) => one.mean_bytes,
      cell: (one) => bytes(one.mean_bytes || null) },
    { key: 'ttl', label: 'Lives', right: true, wide: true, value: (one) => one.ttl, cell: (one) => quantity(one.ttl, 's') },
    { key: 'cost', label: 'A miss takes', right: true, wide: true, value: (one) => one.miss_cost_ms,
      cell: (one) => duration(one.miss_cost_ms) },
    { key: 'place', label: 'Set by', wide: true, value: (one) => one.set_place,
      cell: (one) => html`<${Place} caller=${short(one.set_place || one.place)} />` },
  ];
  return html`<${Table} caption="Keys by what they have in common" columns=${columns} rows=${items}
      id=${(one) => one.shape} sorted="gets" />`;
}

const short = (place) => {
  const [where, ...rest] = place.split(' ');
  return [where.split('/').slice(-2).join('/'), ...rest].join(' ');
};

/** Keys alone tell nothing where all have one shape: then how much the first few take says it. */
function Hottest({ items }) {
  const known = items.filter((one) => one.share !== null && one.share >= 0.01).slice(0, 5);
  if (!known.length) return null;
  return html`<p class="quiet hottest">Asked for most: ${known.map((one, index) => html`<span key=${index}>
      <code>${line(one.key, 80)}</code> ${percent(one.share)}</span>`)}</p>`;
}

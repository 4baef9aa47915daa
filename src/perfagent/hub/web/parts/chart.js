/** Charts over time: lines with a legend that tells the values under the cursor, a brush that zooms, and a table. */

import { useCell } from '../core/cell.js';
import { clock, day, instant, quantity } from '../core/format.js';
import { html, useEffect, useId, useLayoutEffect, useMemo, useRef, useState } from '../core/html.js';
import { setRange } from '../core/range.js';
import { colour, palette } from '../core/theme.js';
import uPlot from '../vendor/uplot.js';
import { Icon } from './icon.js';

/** Median, 95th and 99th percentile as the lines of a chart. */
export const percentiles = (series) => [
  { label: 'p50', values: series.p50_ms, colour: '--accent-3' },
  { label: 'p95', values: series.p95_ms, colour: '--accent' },
  { label: 'p99', values: series.p99_ms, colour: '--accent-2', dash: 2 },
];

const DASHES = [[], [5, 3], [2, 2], [8, 3, 2, 3]];
const TABLE_ROWS = 60;
const FONT = '11px Inter, "Segoe UI", Roboto, Arial, sans-serif';

/**
 * @param {string} label what is shown
 * @param {number[]} time seconds since the epoch
 * @param {{label: string, values: (number|null)[], colour: string, fill: boolean, dash: number}[]} series colours are
 *     variables of the style sheet; dash is one of four patterns, so that lines differ without colour
 * @param {string} unit as `quantity` takes it
 * @param {[number, number]} span the whole range, also where nothing was measured
 * @param {boolean} stacked whether the series add up, drawn as bars
 * @param {{time: number, label: string}[]} marks moments to point at
 */
export function Chart({ label, time, series, unit = '', span, stacked = false, height = 148, marks = [], top,
    legend = true }) {
  const holder = useRef(null);
  const values = useRef([]);
  const moment = useRef(null);
  const latest = useRef({});
  const [asTable, setAsTable] = useState(false);
  const colours = useCell(palette);
  const name = useId();
  const drawn = useMemo(() => (stacked ? pile(series) : series), [series, stacked]);
  latest.current = { time, series, span, marks, unit, stacked };
  const shape = JSON.stringify([series.map((one) => [one.label, one.colour, one.dash, one.fill]), unit, stacked,
      height, top, colours, asTable]);

  useLayoutEffect(() => {
    if (asTable) return undefined;
    const tell = (index) => showValues(values.current, moment.current, latest.current, index);
    const plot = new uPlot(options({ drawn, stacked, height, top, latest, tell }),
      [time, ...drawn.map((one) => one.values)], holder.current);
    holder.current.plot = plot;
    const size = new ResizeObserver(() => plot.setSize({ width: Math.max(holder.current.clientWidth, 60), height }));
    size.observe(holder.current);
    tell(null);
    return () => {
      size.disconnect();
      plot.destroy();
    };
  }, [shape]);

  useEffect(() => {
    const plot = holder.current?.plot;
    if (asTable || !plot || !plot.root.isConnected) return;
    plot.setData([time, ...drawn.map((one) => one.values)]);
    showValues(values.current, moment.current, latest.current, plot.cursor.idx);
  }, [time, drawn, span?.[0], span?.[1], asTable]);

  return html`<figure class="chart" aria-labelledby=${name}>
    <figcaption>
      <span class="unseen" id=${name}>${label}</span>
      ${legend && html`<ul class="legend">${series.map((one, index) => html`<li key=${one.label}>
        <${Swatch} of=${one} block=${stacked} />
        <span class="legend-name" title=${one.label}>${one.label}</span>
        <b ref=${(node) => (values.current[index] = node)}></b></li>`)}</ul>`}
      <span class="chart-moment" ref=${moment} aria-hidden="true"></span>
      <button type="button" class="ghost" aria-pressed=${String(asTable)}
        title=${asTable ? 'Show as a chart' : 'Show as a table'} onClick=${() => setAsTable(!asTable)}>
        <${Icon} name=${asTable ? 'chart' : 'table'} label=${`${label} as a table`} size=${14} /></button>
    </figcaption>
    ${asTable
      ? html`<${Numbers} label=${label} time=${time} series=${series} unit=${unit} />`
      : html`<div class="plot" ref=${holder} role="img" aria-label=${told(label, time, series, unit)}
          style=${{ height: `${height}px` }}></div>`}
  </figure>`;
}

function Swatch({ of, block }) {
  const dash = DASHES[of.dash ?? 0];
  if (block) return html`<i class="swatch" style=${{ background: `var(${of.colour})` }}></i>`;
  return html`<svg class="swatch-line" width="14" height="8" aria-hidden="true">
      <line x1="0" x2="14" y1="4" y2="4" style=${{ stroke: `var(${of.colour})` }} stroke-dasharray=${dash.join(' ')} />
      </svg>`;
}

/** The values at the cursor; without one the latest, or the sums of what is piled up. */
function showValues(nodes, moment, { time, series, unit, stacked }, index) {
  const at = index ?? lastKnown(series);
  const idle = index === null || index === undefined;
  series.forEach((one, position) => {
    const shown = stacked && idle ? one.values.reduce((sum, value) => sum + (value ?? 0), 0) : one.values[at];
    if (nodes[position]) nodes[position].textContent = at === null ? '' : quantity(shown, unit);
  });
  if (moment) moment.textContent = idle ? '' : clock(time[index], true);
}

function lastKnown(series) {
  for (let index = (series[0]?.values.length ?? 0) - 1; index >= 0; index -= 1) {
    if (series.some((one) => one.values[index] !== null && one.values[index] !== undefined)) return index;
  }
  return null;
}

// From the top of the pile down, so that each is drawn over the one that reaches higher.
function pile(series) {
  let below = [];
  const sums = series.map((one) =>
      ({ ...one, fill: true, values: (below = one.values.map((value, index) => (value ?? 0) + (below[index] ?? 0))) }));
  return sums.reverse();
}

function options({ drawn, stacked, height, top, latest, tell }) {
  const [text, line] = [colour('--muted'), colour('--line')];
  const axis = { stroke: text, font: FONT, grid: { stroke: line, width: 1 }, ticks: { show: false } };
  const bars = stacked ? uPlot.paths.bars({ size: [0.9, 24, 1], align: 1 }) : undefined;
  return {
    width: 300,
    height,
    padding: [8, 16, 0, 0],
    legend: { show: false },
    cursor: {
      sync: { key: 'page', filters: { pub: (type) => type.startsWith('mouse') && !/down|up/.test(type) } }, // one zooms
      y: false,
      drag: { x: true, y: false, setScale: false },
      points: { size: 6, show: !stacked },
    },
    scales: {
      x: { time: true, range: (plot, low, high) => latest.current.span ?? [low, high] },
      y: { range: (plot, low, high) => [0, Math.max(top ?? 0, high > 0 ? high * 1.08 : 1)] },
    },
    axes: [
      { ...axis, size: 24, gap: 4, space: 70, values: (plot, splits, at, room, step) => splits.map((one) => dated(one, step)) },
      { ...axis, size: widest, gap: 6, space: 34, values: (plot, splits) => splits.map((one) => tick(one, latest.current.unit)) },
    ],
    series: [{}, ...drawn.map((one) => lineOf(one, stacked, bars))],
    hooks: {
      setCursor: [(plot) => tell(plot.cursor.idx)],
      setSelect: [(plot) => zoom(plot)],
      draw: [(plot) => drawMarks(plot, latest.current.marks)],
    },
  };
}

function lineOf(one, stacked, paths) {
  const stroke = colour(one.colour);
  return {
    label: one.label,
    stroke,
    width: stacked ? 0 : 1.5,
    dash: DASHES[one.dash ?? 0],
    fill: stacked ? stroke : one.fill ? faded(stroke) : undefined,
    paths,
    points: { show: false, filter: alone, size: 4, fill: stroke },
  };
}

// A point between two gaps has no line to it: only those are drawn as dots.
function alone(plot, position) {
  const values = plot.data[position];
  const found = values.flatMap((value, at) => (value != null && values[at - 1] == null && values[at + 1] == null ? [at] : []));
  return found.length ? found : null;
}

const faded = (rgb) => rgb.replace(/^rgb\((.*)\)$/, 'rgba($1, 0.12)');
const tick = (value, unit) => quantity(value, unit).replace(/(\d)\.0+(?=\D|$)/, '$1')
  .replace(/(\.\d*?)0+(?=\D|$)/, '$1');
const dated = (at, step) => (step >= 86400 || (step >= 3600 && new Date(at * 1000).getHours() === 0) ? day(at)
  : clock(at, step < 60));

function widest(plot, values, index) {
  if (!values) return plot.axes[index]._size ?? 40;
  plot.ctx.font = plot.axes[index].font[0];
  return Math.ceil(Math.max(28, ...values.map((value) => plot.ctx.measureText(value).width / devicePixelRatio)) + 12);
}

function zoom(plot) {
  const { left, width } = plot.select;
  if (width < 4) return;
  const [from, to] = [plot.posToVal(left, 'x'), plot.posToVal(left + width, 'x')];
  plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
  if (to - from >= 1) setRange(from, Math.min(to, Date.now() / 1000));
}

function drawMarks(plot, marks) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.strokeStyle = colour('--muted');
  ctx.setLineDash([3, 3]);
  for (const mark of marks ?? []) {
    const x = plot.valToPos(mark.time, 'x', true);
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
  }
  ctx.restore();
}

/** The chart in a sentence: from when to when, and the lowest, highest and latest value of each line. */
function told(label, time, series, unit) {
  if (!time.length) return `${label}: nothing measured`;
  const lines = series.map((one) => {
    const known = one.values.filter((value) => value !== null && value !== undefined);
    if (!known.length) return `${one.label} not measured`;
    return `${one.label} lowest ${quantity(Math.min(...known), unit)}, highest ${quantity(Math.max(...known),
          unit)}, latest ${quantity(known.at(-1), unit)}`;
  });
  return `${label} from ${clock(time[0])} to ${clock(time.at(-1))}: ${lines.join('; ')}`;
}

function Numbers({ label, time, series, unit }) {
  const every = Math.max(1, Math.ceil(time.length / TABLE_ROWS));
  const rows = time.map((at, index) => [at, index]).filter((row, index) => index % every === 0);
  return html`<div class="table numbers" tabindex="0" role="region" aria-label=${`${label}, values`}><table>
    <caption class="unseen">${label}${every > 1 ? `, every ${every}th value` : ''}</caption>
    <thead><tr><th scope="col">Time</th>${series.map((one) =>
        html`<th scope="col" class="right" key=${one.label}>${one.label}</th>`)}</tr></thead>
    <tbody>${rows.reverse()
      .map(([at, index]) => html`<tr key=${at}><th scope="row" title=${instant(at)}>${clock(at, true)}</th>
            ${series.map((one) => html`<td class="right" key=${one.label}>${quantity(one.values[index], unit)}</td>`)}
            </tr>`)}</tbody>
  </table></div>`;
}

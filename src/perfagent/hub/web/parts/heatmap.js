/** A heat map of durations over time: darker is more; a cell leads to its traces, by mouse or by arrow keys. */

import { useCell } from '../core/cell.js';
import { clock, count, duration } from '../core/format.js';
import { html, useEffect, useLayoutEffect, useRef, useState } from '../core/html.js';
import { go, link } from '../core/route.js';
import { colour, palette } from '../core/theme.js';

const [LEFT, BOTTOM, HIGHEST, ROW] = [58, 22, 168, 20]; // px; rows are at most so high
const STEPS = 8;

/**
 * @param {{time: number[], bounds_ms: number[], counts: number[][]}} map counts by time, then by upper bound
 * @param {string} operation that its cells lead to
 * @param {number} until end of the last column, seconds since the epoch
 */
export function HeatMap({ map, operation, until, what = 'requests' }) {
  const canvas = useRef(null);
  const [cell, setCell] = useState(null);
  const [width, setWidth] = useState(600);
  const colours = useCell(palette);
  const grid = gridOf(map, until);

  useLayoutEffect(() => {
    const size = new ResizeObserver(([entry]) => setWidth(Math.max(entry.contentRect.width, 120)));
    size.observe(canvas.current.parentElement);
    return () => size.disconnect();
  }, []);
  useEffect(() => draw(canvas.current, grid, width, cell), [map, width, cell, colours]);

  if (!grid.columns) return null;
  const at = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    return place(grid, width, event.clientX - box.left, event.clientY - box.top);
  };
  const open = (chosen) => chosen && grid.count(chosen) > 0 && go(address(grid, chosen, operation));
  const key = (event) => {
    const [x, y] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key] ?? [];
    if (event.key === 'Enter') open(cell);
    if (event.key === 'Escape') setCell(null);
    if (x === undefined) return;
    event.preventDefault();
    const from = cell ?? { column: grid.columns - 1, row: -1 };
    setCell({ column: clamp(from.column + x, grid.columns), row: clamp(from.row + y, grid.rows) });
  };
  return html`<figure class="heatmap">
    <div class="heatmap-box">
      <canvas ref=${canvas} tabindex="0" role="application" aria-roledescription="heat map"
            aria-label=${`Durations over time, ${count(grid.total)} ${what}. Arrow keys choose a cell, Enter opens its traces.`}
        onPointerMove=${(event) => setCell(at(event))} onPointerLeave=${() => setCell(null)} onClick=${(event) =>
            open(at(event))} onKeyDown=${key} onBlur=${() => setCell(null)}></canvas>
    </div>
    <figcaption role="status">${cell ? told(grid, cell, what)
      : html`<span>Fewer</span> <span class="scale" aria-hidden="true">
          ${Array.from({ length: STEPS }, (_, step) => html`<i key=${step} style=${{ opacity: (step + 1) / STEPS }}>
                </i>`)}</span> <span>more ${what}; a cell leads to its traces</span>`}</figcaption>
  </figure>`;
}

const clamp = (value, size) => Math.max(0, Math.min(size - 1, value));

/** The filled part of the map: rows without any count above and below are left out. */
function gridOf({ time, bounds_ms: bounds, counts }, until) {
  const sums = bounds.map((_, row) => counts.reduce((sum, column) => sum + (column[row] ?? 0), 0));
  const first = sums.findIndex((sum) => sum > 0);
  const last = sums.findLastIndex((sum) => sum > 0);
  const [low, rows] = [Math.max(0, first - 1), first < 0 ? 0 : Math.min(bounds.length - 1, last + 1) - Math.max(0,
      first - 1) + 1];
  const step = time.length > 1 ? time[1] - time[0] : Math.max(1, until - time[0]);
  return {
    rows,
    high: Math.min(HIGHEST, rows * ROW),
    columns: first < 0 ? 0 : time.length,
    total: sums.reduce((sum, one) => sum + one, 0),
    most: Math.max(1, ...counts.flat()),
    count: ({ column, row }) => counts[column]?.[row + low] ?? 0,
    from: (column) => time[column],
    to: (column) => time[column] + step,
    above: (row) => bounds[row + low],
    below: (row) => (row + low > 0 ? bounds[row + low - 1] : 0),
  };
}

function place(grid, width, x, y) {
  const column = Math.floor(((x - LEFT) / (width - LEFT)) * grid.columns);
  const row = Math.floor((1 - y / grid.high) * grid.rows);
  return column < 0 || row < 0 || column >= grid.columns || row >= grid.rows ? null : { column, row };
}

function told(grid, cell, what) {
  const edges = `${duration(grid.below(cell.row))} – ${duration(grid.above(cell.row))}`;
  return `${clock(grid.from(cell.column), true)}: ${count(grid.count(cell))} ${what} of ${edges}`;
}

function address(grid, { column, row }, operation) {
  return link(['traces'], { operation, from: grid.from(column), to: grid.to(column), min_ms: grid.below(row) || null,
      max_ms: grid.above(row), sort: 'slowest' });
}

function draw(canvas, grid, width, cell) {
  if (!canvas) return;
  const scale = devicePixelRatio;
  Object.assign(canvas, { width: width * scale, height: (grid.high + BOTTOM) * scale });
  Object.assign(canvas.style, { width: `${width}px`, height: `${grid.high + BOTTOM}px` });
  const pen = canvas.getContext('2d');
  pen.scale(scale, scale);
  pen.font = '11px Inter, "Segoe UI", Roboto, Arial, sans-serif';
  const [wide, high] = [(width - LEFT) / grid.columns, grid.high / grid.rows];
  const [accent, muted, line] = [colour('--accent'), colour('--muted'), colour('--line')];
  const gap = wide > 4 ? 1 : 0;
  pen.fillStyle = accent;
  for (let column = 0; column < grid.columns; column += 1) {
    for (let row = 0; row < grid.rows; row += 1) {
      const found = grid.count({ column, row });
      if (!found) continue;
      pen.globalAlpha = Math.ceil((Math.log1p(found) / Math.log1p(grid.most)) * STEPS) / STEPS;
      pen.fillRect(LEFT + column * wide, grid.high - (row + 1) * high, Math.max(wide - gap, 1),
        Math.max(high - (high > 4 ? 1 : 0), 1));
    }
  }
  pen.globalAlpha = 1;
  axes(pen, grid, { width, wide, high, muted, line });
  if (!cell) return;
  pen.strokeStyle = colour('--text');
  pen.lineWidth = 1.5;
  pen.strokeRect(LEFT + cell.column * wide, grid.high - (cell.row + 1) * high, wide, high);
}

function axes(pen, grid, { width, wide, high, muted, line }) {
  pen.fillStyle = muted;
  pen.textBaseline = 'middle';
  pen.textAlign = 'right';
  const every = Math.max(1, Math.ceil(22 / high));
  for (let row = 0; row < grid.rows; row += every) {
    const y = grid.high - (row + 1) * high;
    pen.fillText(duration(grid.above(row)), LEFT - 8, Math.max(6, y));
    pen.fillStyle = line;
    pen.fillRect(LEFT - 4, Math.round(y), 3, 1);
    pen.fillStyle = muted;
  }
  pen.fillStyle = line;
  pen.fillRect(LEFT, grid.high, width - LEFT, 1);
  pen.fillStyle = muted;
  pen.textBaseline = 'alphabetic';
  pen.textAlign = 'center';
  const stride = Math.max(1, Math.ceil(80 / wide));
  for (let column = Math.floor(stride / 2); column < grid.columns; column += stride) {
    const x = LEFT + column * wide;
    if (x > LEFT + 14 && x < width - 22) pen.fillText(clock(grid.from(column)), x, grid.high + BOTTOM - 6);
  }
}

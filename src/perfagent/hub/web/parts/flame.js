/** A flame graph on a canvas: thousands of boxes at once, by mouse and by keyboard, with the chosen one told in words. */

import { useCell } from '../core/cell.js';
import { bytes, change, count, duration, percent } from '../core/format.js';
import { found as matching, frameOf, shareOf, step } from '../core/flame.js';
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from '../core/html.js';
import { useShortcuts } from '../core/keys.js';
import { route } from '../core/route.js';
import { line, plain } from '../core/text.js';
import { colour, palette } from '../core/theme.js';
import { TextFilter } from './fields.js';
import { Copy } from './states.js';

const ROW = 19; // px
const LEAST = 0.4; // px below which a box is not drawn
const NAMED = 30; // px from which a box has its name in it
const ORIGINS = [['own', 'Your code', '--c3'], ['library', 'Libraries', '--c5'], ['stdlib', 'Python', '--c8'],
  ['native', 'Native', '--c4']];
const COLOURS = Object.fromEntries(ORIGINS.map(([name, , shade]) => [name, shade]));

/** A value with the unit of a profile. */
export const amount = (value, unit) => (unit === 'ms' ? duration(value) : unit === 'bytes' ? bytes(value)
  : count(value));

/**
 * @param {object} flame what core/flame.js made
 * @param {string} unit ms, bytes or count
 * @param {object} per {requests} where a mean request is told, too
 * @param {boolean} timed whether the width is time, of a flame chart
 */
export function Flame({ flame, unit, per, label, compared = false, timed = false }) {
  const { query } = useCell(route);
  const shade = useCell(palette);
  const [zoom, setZoom] = useState(null);
  const [chosen, setChosen] = useState(null);
  const [over, setOver] = useState(null);
  const [size, setSize] = useState(800);
  const canvas = useRef(null);
  const box = useRef(null);
  const text = query.get('find');
  const hits = useMemo(() => matching(flame, text), [flame, text]);
  const same = (one) => one && flame.boxes.find((other) => other.depth === one.depth && other.fn.name === one.fn.name
      && other.fn.file === one.fn.file && pathOf(other) === pathOf(one));
  useEffect(() => { // newer figures of the same functions keep what was looked at
    setZoom(same);
    setChosen(same);
    setOver(null);
  }, [flame]);
  useLayoutEffect(() => {
    const watch = new ResizeObserver(() => setSize(box.current.clientWidth));
    watch.observe(box.current);
    setSize(box.current.clientWidth);
    return () => watch.disconnect();
  }, []);
  const height = (flame.depth + 1) * ROW + 2;
  useLayoutEffect(() => {
    draw(canvas.current, { flame, zoom, chosen, over, hits, size, height, compared });
  }, [flame, zoom, chosen, over, hits, size, height, shade, compared]);

  const at = (event) => {
    const { left, top } = canvas.current.getBoundingClientRect();
    const [begin, end] = frameOf(flame, zoom);
    const value = begin + ((event.clientX - left) / size) * (end - begin);
    const row = Math.floor((event.clientY - top) / ROW);
    return flame.boxes.find((one) => one.depth === row && value >= one.begin && value < one.begin + one.length) ?? null;
  };
  const choose = (one) => {
    setChosen(one);
    if (!one) return;
    const { scrollTop, clientHeight } = box.current;
    if (one.depth * ROW < scrollTop) box.current.scrollTop = one.depth * ROW;
    else if ((one.depth + 1) * ROW > scrollTop + clientHeight) box.current.scrollTop = (one.depth + 1) * ROW - clientHeight;
  };
  const zoomTo = (one) => {
    setZoom(one);
    choose(one);
  };
  const key = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const from = chosen ?? zoom ?? flame.roots[0];
    if (!from) return;
    if (event.key === 'Enter' || event.key === ' ') setZoom(zoom === chosen ? null : chosen);
    else if (event.key === 'Escape') zoom ? setZoom(null) : choose(null);
    else if (event.key.startsWith('Arrow') || event.key === 'Home' || event.key === 'End') {
      const next = chosen ? step(flame, from, event.key) : from;
      if (next) choose(next);
      if (next && zoom && !within(next, zoom)) setZoom(next.parent && within(zoom, next) ? next : null);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const nextHit = () => {
    const list = [...(hits ?? [])];
    if (list.length) choose(list[(list.indexOf(chosen) + 1) % list.length]);
  };
  useShortcuts([
    ['n', 'Next function that was searched', nextHit, 'This flame graph'],
    ['0', 'Whole flame graph', () => setZoom(null), 'This flame graph'],
  ]);
  const told = over ?? chosen ?? zoom;
  return html`<div class="flame">
    <div class="flame-tools">
      <${TextFilter} name="find" label="Search functions and files" placeholder="Search functions and files" />
      ${hits && html`<span role="status" class="quiet">${count(hits.size)} found, ${percent(shareOf(flame, hits))} of all
          </span>`}
      ${zoom && html`<button type="button" class="ghost" onClick=${() => setZoom(null)}>Show all</button>`}
      <ul class="service-legend" aria-label="Colours">${(compared ? [['more', 'More than before', '--bad'],
        ['less', 'Less than before', '--c5']] : ORIGINS).map(([name, words, shown]) => html`<li key=${name}>
        <i class="swatch" style=${{ background: `var(${shown})` }}></i>${words}</li>`)}</ul>
    </div>
    <div class="flame-told" aria-live="polite">${told ? html`<${Told} box=${told} ...${{ flame, unit, per, timed }} />`
      : html`<span class="quiet">${timed ? 'From left to right: time.' : 'The wider, the more.'} Choose a function; arrow
          keys go from one to the next, Enter fills the width with it.</span>`}</div>
    <div class="flame-box" ref=${box} tabindex="0" role="application" aria-label=${label} onKeyDown=${key}>
      <canvas ref=${canvas} style=${{ width: `${size}px`, height: `${height}px` }} onMouseMove=${(event) =>
          setOver(at(event))} onMouseLeave=${() => setOver(null)} onClick=${(event) => {
            const one = at(event);
            if (one) zoomTo(one === zoom ? one.parent : one);
          }}></canvas></div>
  </div>`;
}

/** The chosen box in words. */
function Told({ box, flame, unit, per, timed }) {
  const whole = flame.roots.reduce((all, one) => all + one.total, 0);
  const where = `${plain(box.fn.file)}${box.line || box.fn.line ? `:${box.line || box.fn.line}` : ''}`;
  const moved = box.before !== null && change(box.before, box.total);
  return html`<b><bdi>${line(box.fn.name, 120)}</bdi></b>
    ${box.fn.file && html`<code class="flame-place">${line(where, 200)}</code><${Copy} text=${where}
        label=${`Copy ${where}`} />`}
    <span>${amount(box.total, unit)} <span class="quiet">${percent(whole ? box.total / whole : 0)}</span></span>
    <span class="quiet">${amount(box.own, unit)} in itself</span>
    ${per?.requests >= 1 && html`<span class="quiet">${amount(box.total / per.requests, unit)} a request</span>`}
    ${timed && html`<span class="quiet">at ${duration(box.begin)}${box.state ? `, ${line(box.state, 20)}` : ''}${box.task
        ? `, task ${line(box.task, 60)}` : ''}</span>`}
    ${box.before !== null && html`<span class=${box.total > box.before ? 'bad' : ''}>before ${amount(box.before,
      unit)}${moved ? `, ${moved.text}` : ''}</span>`}`;
}

const pathOf = (box) => (box.parent ? `${pathOf(box.parent)}\n${box.parent.fn.name}` : '');
const within = (box, outer) => box === outer || (box.parent !== null && within(box.parent, outer));

function draw(canvas, { flame, zoom, chosen, over, hits, size, height, compared }) {
  const scale = window.devicePixelRatio || 1;
  canvas.width = Math.round(size * scale);
  canvas.height = Math.round(height * scale);
  const context = canvas.getContext('2d');
  context.scale(scale, scale);
  context.font = '12px system-ui, sans-serif';
  context.textBaseline = 'middle';
  const [begin, end] = frameOf(flame, zoom);
  const wide = size / (end - begin);
  const ink = colour('--text');
  const empty = colour('--line-strong');
  for (const box of flame.boxes) {
    const left = Math.max(0, (box.begin - begin) * wide);
    const right = Math.min(size, (box.begin + box.length - begin) * wide);
    if (right - left < LEAST || right <= 0 || left >= size) continue;
    const top = box.depth * ROW;
    const faint = (hits && !hits.has(box)) || (zoom && box.depth < zoom.depth);
    const [shade, strength] = compared ? changed(box) : [COLOURS[box.fn.origin] ?? '--c8', 0.55];
    context.globalAlpha = faint ? strength * 0.35 : box === over ? Math.min(1, strength + 0.25) : strength;
    context.fillStyle = shade ? colour(shade) : empty;
    context.fillRect(left, top, Math.max(right - left - 1, LEAST), ROW - 1);
    context.globalAlpha = faint ? 0.6 : 1;
    if (right - left > NAMED) {
      context.fillStyle = ink;
      context.fillText(fitted(context, line(box.fn.name, 120), right - left - 8), left + 4, top + ROW / 2);
    }
    if (box === chosen) {
      context.globalAlpha = 1;
      context.strokeStyle = ink;
      context.lineWidth = 2;
      context.strokeRect(left + 1, top + 1, Math.max(right - left - 3, 1), ROW - 3);
    }
  }
}

/** Red for more, blue for less, the stronger the larger the change is. */
function changed(box) {
  const most = Math.max(box.total, box.before);
  const share = most ? (box.total - box.before) / most : 0;
  if (Math.abs(share) < 0.03) return [null, 0.5];
  return [share > 0 ? '--bad' : '--c5', 0.25 + 0.6 * Math.min(1, Math.abs(share))];
}

const widths = new Map();

/** The beginning of a text that fits. */
function fitted(context, text, room) {
  if (!widths.has(text)) widths.set(text, context.measureText(text).width);
  if (widths.size > 20_000) widths.clear();
  const long = widths.get(text) ?? context.measureText(text).width;
  if (long <= room) return text;
  const kept = Math.floor((text.length * room) / long) - 2;
  return kept > 1 ? `${text.slice(0, kept)}…` : '';
}

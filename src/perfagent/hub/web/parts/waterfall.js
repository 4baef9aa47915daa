/** The waterfall of a trace: only the rows in sight exist, so that thousands of spans scroll smoothly. */

import { useCell } from '../core/cell.js';
import { count, duration } from '../core/format.js';
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from '../core/html.js';
import { useShortcuts } from '../core/keys.js';
import { route, setQuery } from '../core/route.js';
import { rowsOf, treeOf } from '../core/spans.js';
import { line } from '../core/text.js';
import { TextFilter } from './fields.js';
import { Icon } from './icon.js';
import { Minimap } from './minimap.js';
import { SpanPanel } from './span_panel.js';
import { Segments, spoken, TimeLegend } from './time_parts.js';

const ROW = 28; // px, also in the style sheet
const MARGIN = 12; // rows beyond the edges, for a fast scroll
const COLOURS = 8; // --c1 … --c8

export function Waterfall({ trace }) {
  const { query } = useCell(route);
  const tree = useMemo(() => treeOf(trace.spans), [trace]);
  const [folded, setFolded] = useState(new Set());
  const [unfolded, setUnfolded] = useState(new Set());
  const [frame, setFrame] = useState(null);
  const [critical, setCritical] = useState(true);
  const [timed, setTimed] = useState(true);
  const measured = useMemo(() => trace.spans.filter(isMeasured).map((span) => span.time), [trace]);
  const scroller = useRef(null);
  const rows = useMemo(() => rowsOf(tree.roots, folded, unfolded), [tree, folded, unfolded]);
  const colours = useMemo(() => new Map([...new Set(trace.spans.map((span) => span.service))].map((name,
        index) => [name, `--c${(index % COLOURS) + 1}`])), [trace]);
  const repeated = useMemo(() => repeatedOf(trace), [trace]);
  const found = useMemo(() => matches(trace.spans, query.get('find')), [trace, query.get('find')]);

  const chosen = query.get('span');
  const at = rows.findIndex((row) => row.id === chosen);
  const choose = (id) => setQuery({ span: id });
  const toggle = (row) => (row.run ? setUnfolded(flipped(unfolded, row.id)) : setFolded(flipped(folded, row.id)));
  const jump = (wanted, step) => {
    const hits = trace.spans.filter(wanted);
    if (!hits.length) return;
    const now = hits.findIndex((span) => span.span_id === chosen);
    const next = hits[(now + step + hits.length) % hits.length];
    const { folded: open, unfolded: apart } = shown(tree, next.span_id, folded, unfolded);
    setFolded(open);
    setUnfolded(apart);
    choose(next.span_id);
  };
  useShortcuts([
    ['e', 'Next failed span', () => jump((span) => span.status === 'error', 1), 'This trace'],
    ['n', 'Next span that was searched', () => jump((span) => found?.has(span.span_id), 1), 'This trace'],
    ['c', 'Critical path', () => setCritical(!critical), 'This trace'],
    ['p', 'Parts of the time', () => setTimed(!timed), 'This trace'],
    ['0', 'Whole trace', () => setFrame(null), 'This trace'],
  ]);
  useEffect(() => {
    if (chosen && at < 0 && tree.nodes.has(chosen)) {
      const { folded: open, unfolded: apart } = shown(tree, chosen, folded, unfolded);
      setFolded(open);
      setUnfolded(apart);
    }
  }, [chosen, tree]);

  const key = (event) => {
    const row = rows[at];
    const move = { ArrowDown: at + 1, ArrowUp: at - 1, j: at + 1, k: at - 1, Home: 0, End: rows.length - 1,
      PageDown: at + 15, PageUp: at - 15 }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (move !== undefined) choose(rows[Math.max(0, Math.min(rows.length - 1, move))].id);
    else if (event.key === 'Escape') choose(null);
    else if (!row) return;
    else if (event.key === 'ArrowRight') isOpen(row, folded, unfolded) || !below(row)
      ? choose(rows[Math.min(rows.length - 1, at + 1)].id) : toggle(row);
    else if (event.key === 'ArrowLeft') isOpen(row, folded, unfolded) && below(row) ? toggle(row) : row.parent
      && choose(row.parent.id);
    else if (event.key === 'Enter' || event.key === ' ') below(row) && toggle(row);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const inner = () => [...tree.nodes.values()].filter((one) => one.depth > 0 && one.children.length);
  const foldAll = () => setFolded(new Set(folded.size ? [] : inner().map((one) => one.id)));
  const leave = () => {
    choose(null);
    scroller.current?.focus();
  };
  const inSight = frame ?? [0, Math.max(tree.end, 0.001)];
  const node = chosen && rows[at];
  return html`<div class="waterfall ${node ? 'with-panel' : ''}">
    <div class="waterfall-tools">
      <${TextFilter} name="find" label="Search in this trace" placeholder="Search in this trace" />
      ${found && html`<span role="status" class="quiet">
            ${count(found.size)} of ${count(trace.spans.length)} spans</span>`}
      <label class="switch">
        <input type="checkbox" checked=${critical} onChange=${() => setCritical(!critical)} /> Critical path</label>
      ${measured.length > 0 && html`<label class="switch">
        <input type="checkbox" checked=${timed} onChange=${() => setTimed(!timed)} /> Parts of the time</label>`}
      <button type="button" class="ghost" onClick=${foldAll}>${folded.size ? 'Unfold all' : 'Fold all'}</button>
      <ul class="service-legend" aria-label="Services">${[...colours].map(([name, colour]) => html`<li key=${name}>
        <i class="swatch" style=${{ background: `var(${colour})` }}></i><bdi>${line(name, 40)}</bdi></li>`)}</ul>
      ${measured.length > 0 && timed && html`<${TimeLegend} times=${measured} />`}
    </div>
    <${Minimap} nodes=${tree.nodes} end=${tree.end} frame=${frame} onFrame=${setFrame} colours=${colours} />
    <${Axis} frame=${inSight} />
    <${Rows} rows=${rows} at=${at} scroller=${scroller} onKey=${key}
        ...${{ frame: inSight, colours, repeated, found, critical, timed, folded, unfolded, choose, toggle }} />
    ${node && html`<${SpanPanel} key=${node.id} node=${node} trace=${trace} repeated=${repeated.get(node.id)}
      close=${leave} />`}
  </div>`;
}

function Axis({ frame: [from, to] }) {
  const marks = [0, 0.25, 0.5, 0.75, 1];
  return html`<div class="waterfall-axis" aria-hidden="true"><span></span>
      <div>${marks.map((part) => html`<span key=${part} style=${{ left: `${part * 100}%` }}>
            ${duration(from + part * (to - from))}</span>`)}</div></div>`;
}

/** The rows in sight, as a tree for those who hear it. */
function Rows({ rows, at, scroller, onKey, ...rest }) {
  const [view, setView] = useState([0, 40]);
  const measure = () => {
    const { scrollTop, clientHeight } = scroller.current;
    const first = Math.max(0, Math.floor(scrollTop / ROW) - MARGIN);
    const last = Math.ceil((scrollTop + clientHeight) / ROW) + MARGIN;
    setView((before) => (before[0] === first && before[1] === last ? before : [first, last]));
  };
  useLayoutEffect(() => {
    const size = new ResizeObserver(measure);
    size.observe(scroller.current);
    return () => size.disconnect();
  }, []);
  useLayoutEffect(() => {
    if (at < 0) return;
    const { scrollTop, clientHeight } = scroller.current;
    if (at * ROW < scrollTop) scroller.current.scrollTop = at * ROW;
    else if ((at + 1) * ROW > scrollTop + clientHeight) scroller.current.scrollTop = (at + 1) * ROW - clientHeight;
  }, [at]);
  const [first, last] = view;
  return html`<div class="waterfall-rows" ref=${scroller} role="tree" tabindex="0" aria-label="Spans"
      style=${{ maxHeight: `${rows.length * ROW + 2}px` }}
        aria-activedescendant=${at >= 0 ? `span-${rows[at].id}` : undefined} onScroll=${measure} onKeyDown=${onKey}>
    <div class="waterfall-space" role="presentation" style=${{ height: `${rows.length * ROW}px` }}>
      ${rows.slice(first, last).map((row, index) => html`<${Row} key=${row.id} row=${row} position=${first + index}
            total=${rows.length} chosen=${first + index === at} ...${rest} />`)}
    </div></div>`;
}

function Row({ row, position, total, chosen, frame, colours, repeated, found, critical, timed, folded, unfolded,
    choose, toggle }) {
  const { span } = row;
  const open = isOpen(row, folded, unfolded);
  const failed = row.run ? row.run.some((node) => node.span.status === 'error') : span.status === 'error';
  const length = row.run ? row.run.reduce((sum, node) => sum + node.span.duration_ms, 0) : span.duration_ms;
  const faint = found && !(row.run ? row.run.some((node) => found.has(node.id)) : found.has(row.id));
  const times = row.run ? row.run.length : repeated.get(row.id);
  const name = line(span.name, 160) || '(no name)';
  return html`<div id=${`span-${row.id}`} role="treeitem"
      class="span ${chosen ? 'chosen' : ''} ${faint ? 'faint' : ''}" style=${{ top: `${position * ROW}px` }}
    aria-level=${row.depth + 1} aria-posinset=${position + 1} aria-setsize=${total} aria-selected=${String(chosen)}
      aria-expanded=${below(row) ? String(open) : undefined}
    aria-label=${`${row.run ? `${row.run.length} times `
          : ''}${name}, ${line(span.service, 40)}, ${duration(length)}${failed ? ', failed' : ''}${timed && !row.run
              && isMeasured(span) ? `: ${spoken(span.time)}` : ''}`}
            onClick=${() => choose(row.id)} onDblClick=${() => below(row) && toggle(row)}>
    <div class="span-name" style=${{ paddingLeft: `${Math.min(row.depth, 24) * 12 + 4}px` }}>
      ${below(row) ? html`<button type="button" class="fold" tabindex="-1" aria-hidden="true" onClick=${(event) => {
        event.stopPropagation();
        toggle(row);
      }}><${Icon} name=${open ? 'down' : 'right'} size=${12} /></button>` : html`<i class="fold"></i>`}
      <i class="service-stripe" style=${{ background: `var(${colours.get(span.service)})` }}></i>
      ${failed && html`<span class="bad"><${Icon} name="critical" size=${13} label="failed" /></span>`}
      ${times > 1 && html`<span class="times ${row.run || times >= 10 ? 'warn' : ''}"
            title=${`${times} times in this trace`}>${times}×</span>`}
      <span class="span-text"><bdi>${name}</bdi></span>
    </div>
    <span class="span-length">${duration(length)}</span>
    <div class="span-time"><${Bar} row=${row} frame=${frame} colour=${colours.get(span.service)}
          critical=${critical} timed=${timed} /></div></div>`;
}

/** The span in time: pale where it waits for its children, full where it works itself, underlined on the critical path. */
function Bar({ row, frame: [from, to], colour, critical, timed }) {
  const at = (time) => ((time - from) / (to - from)) * 100;
  const clipped = ([begin, end]) => ({ left: `${Math.max(0, at(begin))}%`,
      width: `max(1px, ${Math.max(0, Math.min(100, at(end)) - Math.max(0, at(begin)))}%)` });
  const inSight = ([begin, end]) => end >= from && begin <= to;
  if (!inSight([row.start, row.end])) return null;
  const own = row.run ? row.run.map((node) => [node.start, node.end]) : row.self;
  const path = row.run ? row.run.flatMap((node) => node.critical) : row.critical;
  const underlined = critical && path.filter(inSight).slice(0, 200)
    .map((part, index) => html`<i key=${`c${index}`} class="bar-critical" style=${clipped(part)}></i>`);
  const blocked = (row.run ? [] : blocksOf(row)).filter(inSight).slice(0, 50)
    .map((part, index) => html`<i key=${`b${index}`} class="bar-blocked" style=${clipped(part)}
        title=${`The event loop was blocked for ${duration(part[1] - part[0])}`}></i>`);
  if (timed && !row.run && isMeasured(row.span)) {
    return html`<div class="bar-parts" style=${clipped([row.start, row.end])} title=${spoken(row.span.time)}>
        <${Segments} time=${row.span.time} /></div>${underlined}${blocked}`;
  }
  return html`<i class="bar-whole" style=${{ ...clipped([row.start, row.end]), background: `var(${colour})` }}></i>
    ${own.filter(inSight).slice(0, 200).map((part,
          index) => html`<i key=${index} class="bar-self" style=${{ ...clipped(part), background: `var(${colour})` }}>
            </i>`)}
    ${underlined}${blocked}`;
}

/** When the span blocked its event loop, in the time of the trace. */
function blocksOf({ span }) {
  return (span.events ?? []).filter((event) => event.name === 'perfagent.loop.blocked').map((event) => [event.offset_ms,
    event.offset_ms + 1000 * (Number(event.attributes?.['perfagent.loop.blocked.seconds']) || 0)]);
}

/** Whether an agent has measured where the span's time went, so that it is no mere sum of its children's. */
const isMeasured = (span) => 'perfagent.time.cpu' in (span.attributes ?? {});

const below = (row) => Boolean(row.run) || row.children.length > 0;
const isOpen = (row, folded, unfolded) => (row.run ? unfolded.has(row.id) : !folded.has(row.id));

function flipped(set, id) {
  const next = new Set(set);
  if (!next.delete(id)) next.add(id);
  return next;
}

/** The same state with everything unfolded above a span. */
function shown(tree, id, folded, unfolded) {
  const open = new Set(folded);
  const apart = new Set(unfolded);
  for (let node = tree.nodes.get(id)?.parent; node; node = node.parent) open.delete(node.id);
  if (!rowsOf(tree.roots, open, apart).some((row) => row.id === id)) {
    const run = rowsOf(tree.roots, open, apart).find((row) => row.run?.some((node) => node.id === id));
    if (run) apart.add(run.id);
  }
  return { folded: open, unfolded: apart };
}

/** How often the query of each span ran under the same parent, where that is more than once. */
function repeatedOf({ spans, repeated }) {
  const times = new Map(repeated.map((one) => [`${one.operation} ${one.parent_id}`, one.times]));
  return new Map(spans.map((span) => [span.span_id, times.get(`${span.operation} ${span.parent_id}`)])
    .filter(([, found]) => found));
}

/** Ids of the spans that hold a text in name, service, query or attributes; null without a text. */
function matches(spans, text) {
  if (!text) return null;
  const wanted = text.toLowerCase();
  const holds = (value) => String(typeof value === 'object' ? JSON.stringify(value) : value).toLowerCase()
    .includes(wanted);
  return new Set(spans.filter((span) => holds(span.name) || holds(span.service) || holds(span.caller ?? '')
      || Object.values(span.attributes ?? {}).some(holds)).map((span) => span.span_id));
}

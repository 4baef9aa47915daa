/** Spans as a tree: what each does itself, what the whole waited for, and runs of the same call folded into one. */

const FOLD = 5; // consecutive calls of one operation without children, from which on they are one row

/** @returns {{roots: object[], nodes: Map, end: number}} nodes {span, parent, children, start, end, self, critical} */
export function treeOf(spans) {
  const nodes = new Map();
  for (const span of spans) {
    nodes.set(span.span_id, { id: span.span_id, span, parent: null, children: [], depth: 0, start: span.offset_ms,
        end: span.offset_ms + span.duration_ms, self: [], critical: [] });
  }
  const roots = [];
  for (const node of nodes.values()) {
    const parent = nodes.get(node.span.parent_id);
    if (parent && parent !== node) {
      node.parent = parent;
      parent.children.push(node);
    } else {
      roots.push(node);
    }
  }
  let end = 0;
  for (const node of walk(roots)) {
    node.children.sort((one, other) => one.start - other.start);
    node.self = gaps(node);
    end = Math.max(end, node.end);
  }
  for (const root of roots) findCritical(root);
  return { roots, nodes, end };
}

/** Every node, parents first; without recursion, for a trace may be thousands deep. */
function* walk(roots) {
  const waiting = [...roots].reverse();
  while (waiting.length) {
    const node = waiting.pop();
    node.depth = node.parent ? node.parent.depth + 1 : 0;
    yield node;
    for (let index = node.children.length - 1; index >= 0; index -= 1) waiting.push(node.children[index]);
  }
}

/** The parts of a span that no child covers. */
function gaps(node) {
  const found = [];
  let at = node.start;
  for (const child of node.children) {
    if (child.start > at) found.push([at, Math.min(child.start, node.end)]);
    at = Math.max(at, child.end);
    if (at >= node.end) return found;
  }
  if (at < node.end || !node.children.length) found.push([at, node.end]);
  return found;
}

// From the end backwards: what ran last was waited for, then what ran last before that began (as Jaeger and Uber's CRISP
// define it). What is left of a span between those children is its own part of the path.
function findCritical(root) {
  const waiting = [[root, root.end]];
  while (waiting.length) {
    const [node, end] = waiting.pop();
    let at = end;
    for (const child of [...node.children].sort((one, other) => other.end - one.end)) {
      if (child.start >= at || child.end <= node.start) continue;
      const until = Math.min(child.end, at);
      if (until < at) node.critical.push([until, at]);
      waiting.push([child, until]);
      at = Math.max(child.start, node.start);
    }
    if (at > node.start) node.critical.push([node.start, at]);
  }
}

/**
 * The rows to show.
 *
 * @param {Set<string>} folded ids whose children are not shown
 * @param {Set<string>} unfolded ids of runs that are shown one by one
 * @returns {object[]} nodes, and runs {id, run: node[], span: the first, depth, start, end}
 */
export function rowsOf(roots, folded, unfolded) {
  const rows = [];
  const waiting = grouped(roots).reverse();
  while (waiting.length) {
    const row = waiting.pop();
    rows.push(row);
    if (row.run ? !unfolded.has(row.id) : folded.has(row.id)) continue;
    const below = row.run ? row.run.map((node) => ({ ...node, depth: node.depth + 1 })) : grouped(row.children);
    for (let index = below.length - 1; index >= 0; index -= 1) waiting.push(below[index]);
  }
  return rows;
}

function grouped(nodes) {
  const found = [];
  for (let at = 0; at < nodes.length; ) {
    const run = [nodes[at]];
    while (at + run.length < nodes.length && alike(nodes[at], nodes[at + run.length])) run.push(nodes[at + run.length]);
    at += run.length;
    if (run.length >= FOLD) found.push({ id: `run-${run[0].id}`, run, span: run[0].span, depth: run[0].depth,
        start: run[0].start, end: Math.max(...run.map((node) => node.end)) });
    else found.push(...run);
  }
  return found;
}

const alike = (one, other) => !one.children.length && !other.children.length
  && one.span.operation === other.span.operation && one.span.name === other.span.name && other.span.status !== 'error'
    && one.span.status !== 'error';

/** Self time by what was done: {database, cache, calls, own work} in ms, of `categories` that the spans name. */
export function selfTime(spans) {
  const sums = { own: 0, queries: 0, cache: 0, calls: 0 };
  const kinds = { db: 'queries', cache: 'cache', http: 'calls', rpc: 'calls', producer: 'calls' };
  for (const span of spans) sums[kinds[span.category] ?? 'own'] += span.self_ms ?? 0;
  return sums;
}

/** What a trace consists of, by operation, the most self time first. */
export function byOperation(spans) {
  const found = new Map();
  for (const span of spans) {
    const key = `${span.service} ${span.operation} ${span.name}`;
    const one = found.get(key) ?? { key, name: span.name, service: span.service, category: span.category,
      operation: span.operation, spans: 0, errors: 0, total_ms: 0, self_ms: 0, critical_ms: 0 };
    one.spans += 1;
    one.errors += span.status === 'error' ? 1 : 0;
    one.total_ms += span.duration_ms;
    one.self_ms += span.self_ms ?? 0;
    one.critical_ms += span.critical_ms ?? 0;
    found.set(key, one);
  }
  return [...found.values()].sort((one, other) => other.self_ms - one.self_ms);
}

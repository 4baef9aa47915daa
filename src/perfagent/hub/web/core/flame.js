/** Flame graphs as boxes: where each one lies, which are in sight, and how a key goes from one to the next. */

/**
 * Boxes of an answer's columns: the widest child of a node stands leftmost.
 *
 * @returns {{boxes: object[], roots: object[], whole: number, depth: number}} each box {id, begin, length, depth, parent,
 *     children, own, fn, line}, with `before` and `beforeOwn` where two sides are compared
 */
export function flameOf({ nodes, functions }) {
  const boxes = nodes.parent.map((parent, id) => ({ id, parent: null, above: parent, children: [], depth: 0, begin: 0,
    total: nodes.total[id], own: nodes.self[id], before: nodes.before?.[id] ?? null,
    beforeOwn: nodes.before_self?.[id] ?? null, fn: functions[nodes.function[id]], line: nodes.line[id] }));
  const roots = [];
  for (const box of boxes) {
    // Of two sides the larger one makes the width: what is gone must be seen, too.
    box.length = Math.max(box.total, box.before ?? 0);
    if (box.above < 0) roots.push(box);
    else {
      box.parent = boxes[box.above];
      box.parent.children.push(box);
      box.depth = box.parent.depth + 1;
    }
  }
  for (let at = boxes.length - 1; at >= 0; at -= 1) { // children come after their parents
    const sum = boxes[at].children.reduce((total, child) => total + child.length, 0);
    boxes[at].length = Math.max(boxes[at].length, sum);
  }
  const place = (list, begin) => {
    list.sort((one, other) => other.length - one.length || (one.fn.name < other.fn.name ? -1 : 1));
    for (const box of list) {
      box.begin = begin;
      begin += box.length;
    }
  };
  place(roots, 0);
  for (const box of boxes) place(box.children, box.begin);
  return finished(boxes, roots);
}

/** Boxes of the samples of a trace over time: neighbours that are in the same function are one; a lane a thread. */
export function chartOf({ functions, stacks, lines, moments }) {
  const boxes = [];
  const roots = [];
  const lanes = new Map();
  let first = 0;
  for (const name of [...new Set(moments.map((one) => one.thread))]) {
    const own = moments.filter((one) => one.thread === name);
    lanes.set(name, first);
    let open = [];
    for (const one of own) {
      const end = one.offset_ms + one.duration_ms;
      const path = stacks[one.stack];
      let same = 0;
      // What was in sight a moment ago, two samples at most, goes on.
      while (same < open.length && same < path.length && open[same].of === path[same]
          && one.offset_ms - (open[same].begin + open[same].length) <= one.duration_ms * 1.5) same += 1;
      open = open.slice(0, same);
      for (let depth = 0; depth < path.length; depth += 1) {
        if (depth < same) {
          open[depth].length = Math.max(open[depth].length, end - open[depth].begin);
        } else {
          const parent = open[depth - 1] ?? null;
          const box = { id: boxes.length, parent, children: [], depth: first + depth, begin: one.offset_ms,
            length: one.duration_ms, own: 0, total: 0, before: null, fn: functions[path[depth]], of: path[depth],
            line: lines[one.stack][depth], span: one.span_id, state: one.state, task: one.task };
          boxes.push(box);
          (parent ? parent.children : roots).push(box);
          open.push(box);
        }
      }
      open.forEach((box) => (box.total += one.duration_ms));
      if (open.length) open.at(-1).own += one.duration_ms;
    }
    first += Math.max(1, ...own.map((one) => stacks[one.stack].length)) + 1;
  }
  return { ...finished(boxes, roots), lanes: [...lanes.keys()] };
}

function finished(boxes, roots) {
  const ends = roots.map((box) => box.begin + box.length);
  const first = roots.reduce((least, box) => Math.min(least, box.begin), ends.length ? Infinity : 0);
  return { boxes, roots, first, whole: Math.max(0, ...ends), depth: boxes.reduce((most, box) => Math.max(most, box.depth), 0) };
}

/** [begin, end] of what is in sight where a box fills the width; of everything for none. */
export const frameOf = (flame, zoom) => (zoom ? [zoom.begin, zoom.begin + zoom.length] : [flame.first, flame.whole || 1]);

/** Where a key leads from a box: into what it called, out of it, to its neighbours. */
export function step(flame, box, key) {
  const among = box.parent ? box.parent.children : flame.roots;
  const at = among.indexOf(box);
  const widest = (list) => list.reduce((most, one) => (most && most.length >= one.length ? most : one), null);
  return { ArrowDown: widest(box.children), ArrowUp: box.parent, ArrowLeft: among[at - 1], ArrowRight: among[at + 1],
    Home: flame.roots[0], End: flame.roots.at(-1) }[key] ?? null;
}

/** The boxes of functions or files that hold a text; null without one. */
export function found(flame, text) {
  if (!text) return null;
  const wanted = text.toLowerCase();
  return new Set(flame.boxes.filter((box) => `${box.fn.name} ${box.fn.file}`.toLowerCase().includes(wanted)));
}

/** What of the whole the found boxes take, each moment counted once. */
export function shareOf(flame, hits) {
  const inside = (box) => hits.has(box) || (box.parent !== null && inside(box.parent));
  const sum = [...hits].filter((box) => !box.parent || !inside(box.parent)).reduce((all, box) => all + box.total, 0);
  const whole = flame.roots.reduce((all, box) => all + box.total, 0);
  return whole ? sum / whole : 0;
}

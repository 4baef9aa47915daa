/** The whole trace in a strip: a drag over it shows that part alone. */

import { useCell } from '../core/cell.js';
import { duration } from '../core/format.js';
import { html, useEffect, useLayoutEffect, useRef, useState } from '../core/html.js';
import { colour, palette } from '../core/theme.js';

const HEIGHT = 44; // px

/** @param {[number, number]|null} frame the part in sight, in ms; null for all */
export function Minimap({ nodes, end, frame, onFrame, colours }) {
  const canvas = useRef(null);
  const [width, setWidth] = useState(600);
  const [drag, setDrag] = useState(null);
  const painted = useCell(palette);
  useLayoutEffect(() => {
    const size = new ResizeObserver(([entry]) => setWidth(Math.max(60, entry.contentRect.width)));
    size.observe(canvas.current.parentElement);
    return () => size.disconnect();
  }, []);
  useEffect(() => draw(canvas.current, nodes, end, width, colours), [nodes, width, painted]);

  const part = (event) => {
    const box = canvas.current.getBoundingClientRect();
    return Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
  };
  const down = (event) => {
    event.currentTarget.setPointerCapture(event.pointerId);
    setDrag([part(event), part(event)]);
  };
  const up = () => {
    const [from, to] = [Math.min(...drag), Math.max(...drag)];
    setDrag(null);
    if (to - from > 0.005) onFrame([from * end, to * end]);
  };
  const seen = drag ? [Math.min(...drag), Math.max(...drag)] : frame && [frame[0] / end, frame[1] / end];
  return html`<div class="minimap"><span class="minimap-note">
        ${frame ? html`${duration(frame[1] - frame[0])} of ${duration(end)} <button type="button" class="ghost"
              onClick=${() => onFrame(null)}>Show all</button>` : html`<span class="quiet">Drag to see a part</span>`}
                </span>
    <div class="minimap-box" onPointerDown=${down}
        onPointerMove=${drag ? (event) => setDrag([drag[0], part(event)]) : undefined}
            onPointerUp=${drag ? up : undefined} onPointerCancel=${() => setDrag(null)}
                onDblClick=${() => onFrame(null)}>
      <canvas ref=${canvas} aria-hidden="true"></canvas>
      ${seen && html`<i class="minimap-shade" style=${{ left: 0, width: `${seen[0] * 100}%` }}></i>
          <i class="minimap-shade" style=${{ left: `${seen[1] * 100}%`, right: 0 }}></i>`}
    </div></div>`;
}

function draw(canvas, nodes, end, width, colours) {
  const scale = devicePixelRatio;
  Object.assign(canvas, { width: width * scale, height: HEIGHT * scale });
  Object.assign(canvas.style, { width: `${width}px`, height: `${HEIGHT}px` });
  const pen = canvas.getContext('2d');
  pen.scale(scale, scale);
  const high = Math.max(0.5, Math.min(4, (HEIGHT - 8) / nodes.size));
  let row = 0;
  for (const node of nodes.values()) {
    pen.fillStyle = colour(node.span.status === 'error' ? '--bad' : colours.get(node.span.service));
    pen.fillRect((node.start / end) * width, 4 + row * ((HEIGHT - 8) / Math.max(nodes.size, (HEIGHT - 8) / 4)),
      Math.max(1, ((node.end - node.start) / end) * width), Math.max(high - 0.5, 0.5));
    row += 1;
  }
}

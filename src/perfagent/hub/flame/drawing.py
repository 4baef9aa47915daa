"""A flame graph as a picture: SVG that any program shows, or a page of its own that zooms and searches."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from perfagent.hub.flame.stacks import Node, Profile, origin, place, tree

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDTH, ROW, TOP = 1200, 18, 30  # px
LEAST = 0.15  # px below which a box is not drawn
LETTER = 6.6  # px
COLOURS = {"own": "#e5c07a", "library": "#9cc3ec", "stdlib": "#bcbfc9", "native": "#dba8cb"}
STYLE = """
svg{font:12px system-ui,sans-serif;background:#fff}
rect{stroke:#fff;stroke-width:.6}
g:hover rect{stroke:#17181d}
text{fill:#17181d;pointer-events:none}
"""
SCRIPT = """
const svg = document.querySelector('svg'), whole = svg.dataset.whole * 1, boxes = [...svg.querySelectorAll('g')];
function show(begin, length) {
  for (const g of boxes) {
    const x = (g.dataset.x - begin) / length * 1200, w = g.dataset.w / length * 1200;
    const left = Math.max(0, x), right = Math.min(1200, x + w), out = right - left < 0.1;
    g.style.display = out ? 'none' : '';
    if (out) continue;
    g.querySelector('rect').setAttribute('x', left);
    g.querySelector('rect').setAttribute('width', right - left);
    const text = g.querySelector('text'), room = Math.floor((right - left - 6) / 6.6);
    text.setAttribute('x', left + 3);
    text.textContent = room > 2 ? g.dataset.name.slice(0, room) : '';
  }
}
boxes.forEach((g) => g.addEventListener('click', () => show(g.dataset.x * 1, g.dataset.w * 1)));
addEventListener('keydown', (event) => event.key === 'Escape' && show(0, whole));
document.querySelector('input').addEventListener('input', (event) => {
  const wanted = event.target.value.toLowerCase();
  boxes.forEach((g) => { g.style.opacity = !wanted || g.textContent.toLowerCase().includes(wanted) ? 1 : 0.25; });
});
show(0, whole);
"""


def amount(value: float, unit: str) -> str:
    """A value with its unit, for people."""
    scale = (("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9)) if unit == "nanoseconds" else ()
    scale = scale or ((("B", 1.0), ("KiB", 2.0**10), ("MiB", 2.0**20), ("GiB", 2.0**30)) if unit == "bytes" else ())
    name, size = next(
        ((name, size) for name, size in reversed(scale) if value >= size), scale[0] if scale else ("", 1.0)
    )
    return f"{value / size:.3g} {name}".strip()


def svg(profile: Profile) -> str:
    """The profile as an SVG of its own."""
    root = tree(profile)
    boxes = list(_boxes(root, 0, 0))
    height = TOP + ROW * (max((depth for _, _, depth in boxes), default=0) + 1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'data-whole="{root.total}"><style>{STYLE}</style>',
        f'<text x="4" y="19">{_text(profile.name or profile.kind)}: {amount(root.total, profile.unit)} '
        f"({_text(profile.kind)})</text>",
    ]
    parts += [_box(node, begin, depth, root.total, profile.unit) for node, begin, depth in boxes]
    return "".join(parts) + "</svg>\n"


def html(profile: Profile) -> str:
    """The profile as a page without any other file: a click fills the width, Escape shows all, and it searches."""
    title = _text(profile.name or profile.kind)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        "<style>body{margin:12px;font:13px system-ui,sans-serif}svg{width:100%;height:auto}</style>"
        f'<p><input placeholder="Search functions and files" aria-label="Search functions and files"> '
        f"Click fills the width, Escape shows all.</p>{svg(profile)}<script>{SCRIPT}</script></html>\n"
    )


def _boxes(root: Node, begin: int, depth: int) -> Iterator[tuple[Node, int, int]]:
    """Boxes in sight with where they begin; without recursion, for stacks may be deeper than Python's."""
    waiting = [(root, begin, depth - 1)]
    while waiting:
        node, at, row = waiting.pop()
        if row >= 0:
            yield node, at, row
        for child in node.below():
            if child.total * WIDTH >= LEAST * (root.total or 1):
                waiting.append((child, at, row + 1))
            at += child.total


def _box(node: Node, begin: int, depth: int, whole: int, unit: str) -> str:
    left, wide = begin / whole * WIDTH, node.total / whole * WIDTH
    room = int((wide - 6) / LETTER)
    name = node.call.function
    shown = _text(name if len(name) <= room else f"{name[: room - 1]}…") if room > 2 else ""
    share = 100 * node.total / whole
    told = f"{name}\n{place(node.call)}\n{amount(node.total, unit)} ({share:.1f} %), {amount(node.own, unit)} in itself"
    y = TOP + depth * ROW
    return (
        f'<g data-x="{begin}" data-w="{node.total}" data-name="{_text(name)}"><title>{_text(told)}</title>'
        f'<rect x="{left:.2f}" y="{y}" width="{wide:.2f}" height="{ROW - 1}" fill="{COLOURS[origin(node.call.file)]}"/>'
        f'<text x="{left + 3:.2f}" y="{y + 12}">{shown}</text></g>'
    )


def _text(text: str) -> str:
    """Escaped, without the controls that XML does not have."""
    return escape("".join(sign if sign.isprintable() or sign == "\n" else "\N{REPLACEMENT CHARACTER}" for sign in text))

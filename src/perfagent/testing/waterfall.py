"""A trace as indented text: what ran, when, for how long, from which line; alike ones share a line."""

from __future__ import annotations

from perfagent.testing.limits import TIMES_SIGN, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.testing.trace import Operation

BAR = 16  # columns that the whole test takes
NAME = 64  # characters of a name with what it is set in
LINES = 60
DEEPEST = 12
EIGHTHS = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")


def draw(top: Operation) -> list[str]:
    """The lines of a drawing, of what is below `top` too."""
    rows: list[tuple[str, float, str, str]] = []
    _add(top, [top], 0, top, rows)
    left_out = len(rows) - LINES
    rows = rows[:LINES]
    width = min(max(len(row[0]) for row in rows), NAME)
    lines = [
        f"{row[0]:<{width}}  {row[2]:<{BAR}} {shown('time', row[1]):>9}  {row[3]}".rstrip() for row in rows
    ]  # fmt: skip
    return [*lines, f"… and {left_out} more"] if left_out > 0 else lines


def _add(
    one: Operation, run: list[Operation], depth: int, top: Operation, rows: list[tuple[str, float, str, str]]
) -> None:
    times = f" {TIMES_SIGN}{len(run)}" if len(run) > 1 else ""
    label = one.text if one.kind in ("query", "transaction") else f"{one.name} {one.text}".rstrip()
    label = " ".join("".join(c if c.isprintable() else " " for c in label).split())
    room = NAME - 2 * min(depth, DEEPEST) - len(times)
    if len(label) > room:
        label = label[: room - 1].rstrip() + "…"
    mark = "  failed" if one.failed else ""
    seconds = sum(each.seconds for each in run)
    place = f"at {one.place}" if one.place is not None else ""
    rows.append(("  " * min(depth, DEEPEST) + label + times, seconds, _bar(run, top), place + mark))
    for group in folded(one.children) if len(run) == 1 else ():
        _add(group[0], group, depth + 1, top, rows)


def folded(children: list[Operation]) -> list[list[Operation]]:
    """Children in groups that share a line: leaves of the same text from the same place, wherever they stand."""
    groups: dict[object, list[Operation]] = {}
    for position, child in enumerate(children):
        leaf = not child.children and child.kind not in ("request", "work")
        key = (child.kind, child.text or child.name, child.name, child.place, child.failed) if leaf else position
        groups.setdefault(key, []).append(child)
    return list(groups.values())


def _bar(run: list[Operation], top: Operation) -> str:
    whole = top.ended - top.started
    if whole <= 0:
        return ""
    begin = min(one.started for one in run) - top.started
    end = max(one.ended for one in run) - top.started
    first = min(max(round(begin / whole * BAR * 8), 0), BAR * 8 - 1)
    last = min(max(round(end / whole * BAR * 8), first + 1), BAR * 8)
    full, rest = divmod(last - first // 8 * 8, 8)
    return " " * (first // 8) + "█" * full + EIGHTHS[rest]

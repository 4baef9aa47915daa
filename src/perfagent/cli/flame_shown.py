"""Profiles for the terminal: the functions that take most, and a small tree of where they are called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfagent.cli.output import Column, Mark, Table
from perfagent.hub.flame.drawing import amount
from perfagent.hub.flame.stacks import Profile, functions, lines, origin, place, tree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfagent.cli.output import Cell, Part
    from perfagent.hub.flame.stacks import Call, Node, Sums

SMALLEST = 0.03  # of the whole, that a branch of the tree has
ROWS = 30  # of the tree
SECONDS = 1e6  # ns of a ms


def table(profile: Profile, most: int, by_line: bool) -> list[Part]:
    """The functions or lines that take most, and where."""
    whole = profile.total
    found = (lines if by_line else functions)(profile)
    title = f"{profile.name or profile.kind}: {amount(whole, profile.unit)} in {_count(profile)} samples"
    shown = Table(
        [Column("itself", right=True), Column("", right=True), Column("with calls", right=True, drop=2),
         Column("line" if by_line else "function", wide=True), Column("where", wide=True, drop=1)]
    )  # fmt: skip
    for sums in [one for one in found if one.own][:most]:
        shown.rows.append(_row(sums, whole, profile.unit, by_line))
    return [Mark(title, "bold"), "", shown, "", Mark("where it is called", "head"), *_branches(profile)]


def _count(profile: Profile) -> str:
    return f"{sum(sample.times for sample in profile.samples):,}"


def _row(sums: Sums, whole: int, unit: str, by_line: bool) -> list[Cell]:
    call = sums.call
    where = place(call) if by_line else f"{call.file}:{call.first}" if call.first else call.file
    style = "bold" if origin(call.file) == "own" else ""
    share = sums.own / whole
    return [
        amount(sums.own, unit),
        Mark(f"{share:.0%}", "warn" if share >= 0.2 else ""),
        amount(sums.total, unit),
        Mark(call.function, style),
        Mark(where, "dim"),
    ]


def _branches(profile: Profile) -> Iterator[Part]:
    """The branches that matter; a run of calls of which each does nothing but call the next is one line."""
    root = tree(profile)
    waiting = [(node, 0) for node in reversed(root.below())]
    shown = 0
    while waiting and shown < ROWS:
        node, depth = waiting.pop()
        if node.total < SMALLEST * root.total:
            continue
        skipped, node = _straight(node)
        share = f"{node.total / root.total:>4.0%} "
        through = f"… {skipped} {'call' if skipped == 1 else 'calls'} … " if skipped else ""
        style = "bold" if origin(node.call.file) == "own" else ""
        yield [Mark(share, "dim"), "  " * depth, through, Mark(node.call.function, style),
               Mark(f"  {place(node.call)}", "dim")]  # fmt: skip
        shown += 1
        waiting += [(child, depth + 1) for child in reversed(node.below())]


def _straight(node: Node) -> tuple[int, Node]:
    """How many calls of others' code in a row lead to what matters, and that."""
    skipped = 0
    while origin(node.call.file) != "own" and len(node.children) == 1 and node.own < 0.01 * node.total:
        node = next(iter(node.children.values()))
        skipped += 1
    return skipped, node


def compared(found: dict[str, Any], names: list[str], most: int) -> list[Part]:
    """What takes more or less than before, the largest difference first."""
    unit, now, before = found["unit"], found["now"], found["before"]
    scale = 1e6 if unit == "ms" else 1.0
    kind = "nanoseconds" if unit == "ms" else unit
    per = f"{now['requests']:,.0f} requests" if found["per"] == "request" else f"{now['seconds']:,.0f} s"
    title = (
        f"{found['type']}, for {per} each: {names[0]} {amount(before['total'] * scale, kind)}, {names[1]} "
        + amount(now["total"] * scale, kind)
    )
    shown = Table(
        [Column(names[0], right=True), Column(names[1], right=True), Column("change", right=True),
         Column("function", wide=True), Column("where", wide=True, drop=1)]
    )  # fmt: skip
    items = sorted(found["items"], key=lambda one: -abs(one["self"] - one["before_self"]))
    least = 0.001 * max(now["total"], before["total"])
    for one in [one for one in items if abs(one["self"] - one["before_self"]) > least][:most]:
        change = one["self"] - one["before_self"]
        told = f"{'+' if change >= 0 else '-'}{amount(abs(change) * scale, kind)}"
        shown.rows.append(
            [
                amount(one["before_self"] * scale, kind),
                amount(one["self"] * scale, kind),
                Mark(told, "bad" if change > 0 else "good"),
                Mark(one["name"], "bold" if one["origin"] == "own" else ""),
                Mark(f"{one['file']}:{one['line']}" if one["line"] else one["file"], "dim"),
            ]
        )
    return [Mark(title, "bold"), "", shown] if shown.rows else [Mark(title, "bold"), "nothing has changed"]


def document(profile: Profile, most: int) -> dict[str, Any]:
    """The same for machines: ms, bytes or counts."""
    scale = SECONDS if profile.unit == "nanoseconds" else 1.0

    def listed(sums: list[Sums], with_line: bool) -> list[dict[str, Any]]:
        return [
            {**_told(one.call, with_line), "self": one.own / scale, "total": one.total / scale} for one in sums[:most]
        ]

    return {
        "type": profile.kind,
        "unit": {"nanoseconds": "ms"}.get(profile.unit, profile.unit),
        "total": profile.total / scale,
        "samples": sum(sample.times for sample in profile.samples),
        "functions": listed(functions(profile), False),
        "lines": listed(lines(profile), True),
    }


def _told(call: Call, with_line: bool) -> dict[str, Any]:
    line = call.line if with_line else call.first
    return {"name": call.function, "file": call.file, "line": line, "origin": origin(call.file)}

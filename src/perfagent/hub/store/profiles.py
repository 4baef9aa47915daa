"""Stacks and their samples in the database: each function, stack and context once, samples by these."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from perfagent.hub.store import tables
from perfagent.hub.store.rows import Frame, Path, SampleRow, Stack, StackNode, identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import duckdb

    from perfagent.hub.store.rows import Batch

    Found = dict[str, dict[int, tuple[Any, ...]]]

MINUTE = 60_000_000_000  # ns
LARGEST = 9_000_000_000_000_000_000
"""A sum of a minute: what is beyond has no room in its column, and would have the whole request refused for ever."""
STACKS = 250_000
"""Stacks that are kept, 100 MB; the samples of others are kept below one that says so, until old ones are forgotten."""
OTHER = "(other stacks)"
INTERNED = ("frames", "stack_nodes", "stacks", "profile_contexts")
SCHEMAS = {
    "frames": tables.FRAMES,
    "stack_nodes": tables.STACK_NODES,
    "stacks": tables.STACKS,
    "profile_contexts": tables.CONTEXTS,
}


def frame_of(function: str, file: str, line: int) -> Frame:
    """A function with its identity."""
    return Frame(identity("frame", function, file, str(line)), function, file, line)


def node_of(parent: int, frame: int, depth: int) -> StackNode:
    """A function below others, with its identity."""
    return StackNode(identity("node", str(parent), str(frame)), parent, frame, depth)


def stack_of(nodes: Sequence[StackNode], lines: Sequence[int]) -> Stack:
    """A stack with its identity, of its nodes from the first call on."""
    told = ",".join(map(str, lines))
    frames = [node.frame for node in nodes]
    return Stack(identity("stack", str(nodes[-1].id), told), [node.id for node in nodes], frames, list(lines))


def path_of(calls: Sequence[tuple[Frame, int]]) -> Path:
    """A stack of functions and the lines that they were at, from the first call on."""
    nodes: list[StackNode] = []
    for depth, (frame, _) in enumerate(calls):
        nodes.append(node_of(nodes[-1].id if nodes else 0, frame.id, depth))
    return Path(stack_of(nodes, [line for _, line in calls]), nodes, [frame for frame, _ in calls])


_OTHER = path_of([(frame_of(OTHER, "", 0), 0)])


class Stacks:
    """Which functions, nodes, stacks and contexts the database has.

    Args:
        ids: those of each table.
    """

    def __init__(self, ids: Callable[[str], Iterable[int]]) -> None:
        self._known: dict[str, set[int]] = {name: set(ids(name)) for name in INTERNED}

    @property
    def crowded(self) -> bool:
        """Whether there is little room for more."""
        return len(self._known["stacks"]) > 0.8 * STACKS

    def store(self, cursor: duckdb.DuckDBPyConnection, batches: Sequence[Batch], hours: int) -> dict[str, set[int]]:
        """Adds the samples of some batches, within their transaction.

        Args:
            hours: until when hours are rolled up, seconds since the epoch.

        Returns:
            What is in the database once that is committed.
        """
        rows = [row for batch in batches for row in batch.profiles]
        if not rows:
            return {}
        fresh, rows = self._fresh(batches, rows)
        now = time.time_ns()
        for name, found in fresh.items():
            if found:
                incoming = tables.table(list(found.values()), SCHEMAS[name])  # noqa: F841 - DuckDB finds it by its name
                cursor.execute(f"INSERT OR IGNORE INTO {name} BY NAME SELECT *, {now} AS first_seen FROM incoming")  # noqa: S608
        _insert(cursor, "profile_samples", rows, tables.SAMPLES)
        minutes = _minutes(rows)
        _insert(cursor, "profile_minutes", minutes, tables.PROFILE_MINUTES)
        late = [(row[0] // 3600 * 3600, *row[1:]) for row in minutes if row[0] < hours]
        _insert(cursor, "profile_hours", late, tables.PROFILE_MINUTES)
        return {name: set(found) for name, found in fresh.items()}

    def _fresh(self, batches: Sequence[Batch], rows: list[SampleRow]) -> tuple[Found, list[SampleRow]]:
        """What is new, and the samples with the stacks that they count for."""
        fresh: Found = {name: {} for name in INTERNED}
        known, room = self._known, STACKS - len(self._known["stacks"])
        moved: set[int] = set()
        for batch in batches:
            contexts = {key: one for key, one in batch.contexts.items() if key not in known["profile_contexts"]}
            fresh["profile_contexts"].update(contexts)
            for key, path in batch.stacks.items():
                if key in known["stacks"] or key in fresh["stacks"]:
                    continue
                if len(fresh["stacks"]) < room:
                    self._add(path, fresh)
                else:
                    moved.add(key)
        if moved:
            self._add(_OTHER, fresh)
            other = _OTHER.stack.id
            rows = [row._replace(stack=other) if row.stack in moved else row for row in rows]
        return fresh, rows

    def _add(self, path: Path, fresh: Found) -> None:
        fresh["stacks"][path.stack.id] = path.stack
        for node, frame in zip(path.nodes, path.frames, strict=True):
            if node.id not in self._known["stack_nodes"]:
                fresh["stack_nodes"][node.id] = node
                fresh["frames"][frame.id] = frame

    def committed(self, stored: dict[str, set[int]]) -> None:
        """Remembers what `store` returned."""
        for name, found in stored.items():
            self._known[name] |= found


def _minutes(rows: Iterable[SampleRow]) -> list[tuple[int, ...]]:
    """Rows of `profile_minutes`: what was collected in a window counts for the minute of its begin."""
    found: dict[tuple[int, int, int, int], list[int]] = {}
    for row in rows:
        key = (row.time // MINUTE * 60, row.resource, row.context, row.stack)
        sums = found.get(key)
        if sums is None:
            found[key] = [row.value, row.samples]
        else:
            sums[0] += row.value
            sums[1] += row.samples
    return [(*key, *(min(one, LARGEST) for one in sums)) for key, sums in found.items()]


def _insert(cursor: duckdb.DuckDBPyConnection, name: str, rows: Sequence[tuple[Any, ...]], schema: Any) -> None:
    if rows:
        incoming = tables.table(rows, schema)  # noqa: F841
        cursor.execute(f"INSERT INTO {name} FROM incoming")

"""What the hub's decoder has read, as profiles; for the command line, which receives without a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.hub.flame.stacks import Call, Profile, Sample

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfagent.hub.store.rows import Batch


def profiles(batches: Iterable[Batch], name: str = "") -> dict[str, Profile]:
    """A profile of each kind in these batches, equal stacks as one sample."""
    sums: dict[str, dict[tuple[tuple[Call, ...], tuple[tuple[str, str], ...]], list[int]]] = {}
    found: dict[str, Profile] = {}
    for batch in batches:
        for row in batch.profiles:
            context, path = batch.contexts[row.context], batch.stacks[row.stack]
            profile = found.setdefault(context.kind, Profile(context.kind, context.unit, name=name, time=row.time))
            profile.time = min(profile.time, row.time)
            profile.duration = max(profile.duration, row.time + row.duration - profile.time)
            calls = tuple(
                Call(frame.function, frame.file, frame.line, line)
                for frame, line in zip(path.frames, path.stack.lines, strict=True)
            )
            labels = tuple(
                (key, value) for key in ("endpoint", "thread", "task", "state") if (value := getattr(context, key))
            )
            told = sums.setdefault(context.kind, {}).setdefault((calls, labels), [0, 0])
            told[0] += row.value
            told[1] += row.samples
    for kind, stacks in sums.items():
        found[kind].samples = [
            Sample(calls, value, times, labels) for (calls, labels), (value, times) in stacks.items()
        ]
    return found

"""Has the metrics that rules read fetched, where the hub reads from Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.hub.remote.errors import RemoteError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfagent.hub.hub import Hub


def fetch(hub: Hub, names: Iterable[str], begin: int, end: int) -> list[str]:
    """Asks for the minutes of some metrics, which come within seconds; returns why some cannot be had.

    Nothing is to be fetched where the hub stores what it receives itself. To be called in a thread.

    Args:
        hub: the hub.
        names: of the metrics.
        begin, end: seconds since the epoch.
    """
    metrics = hub.remote.metrics if hub.remote is not None else None
    problems: list[str] = []
    if metrics is None:
        return problems
    for name in names:
        try:
            topic = metrics.follow(name)
        except RemoteError as error:
            problems.append(f"{name} cannot be read: {error}")
            continue
        if topic is not None:
            metrics.filler.want(topic, begin, end, 60)
    return problems

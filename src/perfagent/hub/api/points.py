"""Reads points of chosen series by step and group, from the roll-ups: figures and distributions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.hub.api.calls import bounds
from perfagent.hub.api.vitals import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from perfagent.hub.api.ranges import Range
    from perfagent.hub.store.rows import Row
    from perfagent.hub.store.store import Store


def figures(store: Store, within: Range, groups: Mapping[int, int]) -> dict[int, dict[int, Row]]:
    """The rows of `metrics/points` by group and start of the step.

    Args:
        groups: for each series' id the group that it is in.
    """
    found: dict[int, dict[int, Row]] = {}
    for row in store.rows("metrics/points", **_chosen(store, within, groups)):
        found.setdefault(row["grp"], {})[row["time"]] = row
    return found


def distributions(store: Store, within: Range, groups: Mapping[int, int]) -> dict[int, dict[int, Histogram]]:
    """Histograms by group and start of the step; where series disagree on bounds, those with most values stand.

    Args:
        groups: for each series' id the group that it is in.
    """
    found: dict[int, dict[int, Histogram]] = {}
    for row in store.rows("metrics/buckets", **_chosen(store, within, groups)):
        steps = found.setdefault(row["grp"], {})
        if row["time"] not in steps:
            counts = dict(zip(row["positions"], row["counts"], strict=True))
            steps[row["time"]] = Histogram(row["bounds"], counts, row["largest"])
    return found


def quantiles(
    store: Store, within: Range, groups: Mapping[int, int], share: float
) -> dict[int, dict[int, float | None]]:
    """What a share of the readings does not exceed, by group and start of the step; of points that are still kept.

    Args:
        groups: for each series' id the group that it is in.
        share: 0..1
    """
    found: dict[int, dict[int, float | None]] = {}
    bounds_ns = {"begin_ns": int(within.first * 1e9), "end_ns": within.end_ns}
    rows = store.rows(
        "metrics/quantiles", **bounds_ns, step=within.step, share=share, ids=list(groups), groups=list(groups.values())
    )
    for row in rows:
        found.setdefault(row["grp"], {})[row["time"]] = row["value"]
    return found


def _chosen(store: Store, within: Range, groups: Mapping[int, int]) -> dict[str, object]:
    limits = bounds(store, within.first, within.end)
    return {**limits, "step": within.step, "ids": list(groups), "groups": list(groups.values())}


def merged(histograms: Iterable[Histogram]) -> Histogram | None:
    """Histograms of one metric as one; those with other bounds than the first are left out. None of none."""
    whole: Histogram | None = None
    for one in histograms:
        if whole is None:
            whole = Histogram(one.bounds, {}, one.largest)
        if one.bounds == whole.bounds:
            for position, count in one.counts.items():
                whole.counts[position] = whole.counts.get(position, 0.0) + count
            whole.largest = max((value for value in (whole.largest, one.largest) if value is not None), default=None)
    return whole

"""Findings about what agents noticed by themselves: each kind of notice has a function here that words it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.hub.analyse import (
    habit_notices,
    leak_notices,
    loop_notices,
    overfetch_notices,
    overhead_notices,
    pool_notices,
    query_notices,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from perfagent.hub.analyse.finding import Facts, Finding, Notice

LATELY = 300.0  # s; a fault that was not seen for so long is over: a notice is told each minute while it is seen

WORDED: dict[str, Callable[[Notice, Facts], Finding]] = {
    **habit_notices.WORDED,
    **overfetch_notices.WORDED,
    **pool_notices.WORDED,
    **query_notices.WORDED,
    "blocked_loop": loop_notices.worded,
    "memory_leak": leak_notices.worded,
}
"""By kind; a kind that is neither here nor in `GATHERED` is no finding, only a log record."""

GATHERED: dict[str, Callable[[list[Notice]], list[Finding]]] = {"overhead": overhead_notices.gathered}
"""Kinds of which several notices make one finding."""


def of_notices(facts: Facts) -> Iterator[Finding]:
    """One for each notice that was seen lately, or for several of one kind."""
    lately = [one for one in facts.notices if one.last_seen >= facts.end - LATELY]
    for kind, gathered in GATHERED.items():
        yield from gathered([one for one in lately if one.kind == kind])
    for one in lately:
        worded = WORDED.get(one.kind)
        if worded is not None:
            finding = worded(one, facts)
            finding.first_seen, finding.last_seen = one.first_seen, one.last_seen
            if one.trace_id is not None and not finding.traces:
                finding.traces = (one.trace_id.hex(),)
            yield finding

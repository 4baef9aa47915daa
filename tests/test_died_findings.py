"""The finding of processes that died says what is known of them, and no more."""

from __future__ import annotations

from perfagent.hub.analyse.finding import Died
from perfagent.hub.analyse.process_findings import of_died


def died(answering: str) -> Died:
    return Died("shop", 1_800_000_000.0, "process 7 of shop was killed or crashed", answering, False, None)


def test_requests_are_lost_only_where_some_were_under_way() -> None:
    (idle,) = of_died([died("")])
    assert idle.impact.startswith("no request was under way")
    for its in ([died("GET /slow")], [died("GET /slow"), died("")]):
        (busy,) = of_died(its)
        assert busy.impact.startswith("requests under way got no answer")

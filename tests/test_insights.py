"""Insights: what is wrong at the end of a range, with steps, impact and evidence; what was repaired is gone."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

from perfagent.hub.sources.seen import Blocked, DeadTuples, SequentialScans, UnusedIndex
from tests.hub import counter, level, metrics, resource, span, traces
from tests.test_docs import blocks

if TYPE_CHECKING:
    import pytest

    from tests.hub import ServedHub

HOURS = 3
SHOP = resource("shop", service__version="1.0")
NEWER = resource("shop", "shop-2", service__version="1.1")
TEXT = "SELECT id FROM lines WHERE order_id = ?"


class Sender:
    """Sends requests of a shop, a minute each."""

    def __init__(self, hub: ServedHub) -> None:
        self._hub, self._number = hub, 1

    def requests(
        self,
        first: int,
        last: int,
        times: int = 1,
        ms: float = 1.0,
        *,
        who: Any = SHOP,
        failed: int = 0,
        tries: int = 0,
    ) -> None:
        """GET /orders with a statement that runs `times` times and takes `ms`, from `first` to `last` minutes ago.

        Args:
            failed: how many of ten requests fail.
            tries: calls of a bank that fail, in each request.
        """
        spans = []
        for minute in range(first, last, -1):
            for place in range(10):
                root = self._number = self._number + 50
                ago, at, status = 60 * minute - 5 * place, 1.0, 500 if place < failed else 200
                for run in range(times):
                    spans.append(span(root + 1 + run, "SELECT lines", trace=root, parent=root, kind=3,
                                      ago=ago - at / 1000, ms=ms, db__system__name="sqlite", db__query__text=TEXT,
                                      db__query__summary="SELECT lines", code__file__path="/srv/shop/lines.py",
                                      code__line__number=44, code__function__name="load"))  # fmt: skip
                    at += ms
                for run in range(tries):
                    spans.append(span(root + 30 + run, "GET", trace=root, parent=root, kind=3, ago=ago - at / 1000,
                                      ms=40, status=503, http__request__method="GET",
                                      server__address="bank"))  # fmt: skip
                    at += 40
                spans.append(span(root, "GET /orders", trace=root, ago=ago, ms=at + 2, status=status))
        self._hub.send("traces", traces(who, *spans))


def insights(hub: ServedHub, **asked: Any) -> dict[str, dict[str, Any]]:
    """By kind."""
    return {one["kind"]: one for one in hub.get("insights", **(asked or {"hours": HOURS}))["items"]}


def test_a_healthy_quiet_service_has_no_insight(hub: ServedHub) -> None:
    Sender(hub).requests(150, 0)
    assert insights(hub) == {}


def test_each_insight_has_steps_impact_and_evidence(hub: ServedHub) -> None:
    Sender(hub).requests(60, 0, times=12, ms=30, failed=2)
    found = insights(hub, hours=1)
    assert set(found) >= {"n_plus_one", "slow_endpoint", "errors"}
    again = found["n_plus_one"]
    assert "12 times" in again["title"]
    assert again["place"].endswith("lines.py:44 load")
    assert len(again["traces"][0]) == 32
    assert len(again["steps"]) >= 3
    assert again["effort"] == "low"
    # 10 requests a minute, of each of which 11 statements of 30 ms would be spared.
    assert 0.7 < again["seconds_per_day"] / (10 * 1440 * 11 * 0.030) < 1.3
    assert 0.7 < again["requests_per_day"] / (10 * 1440) < 1.3
    assert 0.7 < found["errors"]["requests_per_day"] / (2 * 1440) < 1.3
    for one in found.values():
        assert one["first_seen"] < one["last_seen"]
        assert 0 < one["confidence"] <= 1


def test_what_a_release_repaired_ten_minutes_ago_is_gone_though_the_range_still_has_it(hub: ServedHub) -> None:
    sender = Sender(hub)
    sender.requests(150, 11, times=12, ms=60, failed=3)
    before = insights(hub, from_="-3h", to="-11m")
    assert {"n_plus_one", "slow_endpoint", "errors"} <= set(before)
    sender.requests(10, 0, who=NEWER)
    assert {"n_plus_one", "slow_endpoint", "errors", "slow_query"} & set(insights(hub, hours=24)) == set()


def test_what_hardly_happens_any_more_is_not_called_repaired(hub: ServedHub) -> None:
    Sender(hub).requests(150, 40, ms=700)
    assert "slow_query" in insights(hub), "nobody has asked since: nothing is known of a repair"


def test_what_began_a_minute_ago_is_seen_in_a_range_of_a_day(hub: ServedHub) -> None:
    sender = Sender(hub)
    sender.requests(170, 6)
    sender.requests(6, 0, ms=900)
    found = insights(hub, hours=24)
    assert "slow_query" in found
    assert "GET /orders" in found["slow_endpoint"]["title"]


def test_the_pages_commands_answer(hub: ServedHub) -> None:
    Sender(hub).requests(30, 0, times=12, ms=30)
    commands = blocks("docs/how-to/insights.md", "sh")
    assert len(commands) == 2
    for command in commands:
        environ = {**os.environ, "HUB": hub.url, "TOKEN": hub.access.token("viewer")}
        told = subprocess.run(["bash", "-euc", command], env=environ, capture_output=True, check=True, text=True)
        answers = [json.loads(one) for one in told.stdout.replace("}{", "}\n{").splitlines()]
        assert [one["status"] for one in answers] == ["success"] * command.count("curl")


def test_retries_are_told_from_single_failures(hub: ServedHub) -> None:
    Sender(hub).requests(30, 0, failed=5, tries=4)
    found = insights(hub, hours=1)
    assert "4 times in vain" in found["retries"]["title"]
    assert found["retries"]["seconds_per_day"] > 0


def test_a_frequent_statement_is_heavy_though_each_call_is_quick(hub: ServedHub) -> None:
    Sender(hub).requests(30, 0, times=4, ms=50)
    found = insights(hub, hours=1)
    assert "n_plus_one" not in found
    assert found["heavy_query"]["severity"] == "medium"
    assert "of the time of all requests" in found["heavy_query"]["title"]


def test_a_pool_that_is_full_and_a_cache_that_is_never_hit_are_told(hub: ServedHub) -> None:
    pool = {"db__client__connection__pool__name": "shop"}
    for minute in range(8, 0, -1):
        ago = 60.0 * minute
        hub.send("metrics", metrics(
            SHOP, level("db.client.connection.count", 6, ago=ago, db__client__connection__state="used", **pool),
            level("db.client.connection.max", 6, ago=ago, **pool),
            counter("perfagent.cache.misses", 40, ago=ago, cache__name="prices", cache__system="lru_cache"),
        ))  # fmt: skip
    found = insights(hub, hours=1)
    assert found["pool"]["severity"] == "high"
    assert found["cache"]["title"] == "prices is never hit"


def test_what_databases_tell_becomes_insights(hub: ServedHub, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = [
        Blocked(source="orders", time=0.0, system="postgresql", database="shop", blocker=7, blocked=9, root=7,
                seconds=12.0, statement="UPDATE stock", blocking_statement="LOCK TABLE stock",
                blocking_state="idle in transaction"),
        UnusedIndex(source="orders", time=90_000_000.0, system="postgresql", database="shop", schema="public",
                    table="lines", index="lines_old", bytes=9_000_000, writes=50_000, since=80_000_000.0),
        DeadTuples(source="orders", time=0.0, database="shop", schema="public", table="carts", live=50_000,
                   dead=150_000, bytes=90_000_000),
        SequentialScans(source="orders", time=0.0, system="postgresql", database="shop", schema="public",
                        table="lines", scans=50, rows_read=50 * 200_000, index_scans=0, rows=200_000,
                        bytes=20_000_000, seconds=60.0),
    ]  # fmt: skip
    Sender(hub).requests(30, 0, ms=20)
    monkeypatch.setattr(type(hub.hub.sources), "facts", lambda _: facts)
    found = insights(hub, hours=1)
    assert "session 7 of shop" in found["lock"]["title"]
    assert "lines_old" in found["unused_index"]["title"]
    assert found["dead_tuples"]["severity"] == "medium"
    assert TEXT in found["missing_index"]["evidence"]
    assert found["missing_index"]["link"].startswith("#/queries/")
    categories = {one["title"]: one["category"] for one in hub.get("recommendations", hours=1)["items"]}
    assert categories[found["missing_index"]["title"]] == "database"


def test_a_process_whose_identity_begins_with_a_digit_is_told_of(hub: ServedHub) -> None:
    who = resource("shop", "40152919-5293-4e2e-a32f-15c77e325244")
    hub.send("metrics", metrics(who, counter("perfagent.telemetry.dropped", 12)))
    assert any("40152919" in one["evidence"] + one["link"] for one in hub.get("insights")["items"])
    assert hub.get("overview")["findings"]

"""What is behind slow and failing requests is named first, with its evidence, and nothing is named without need."""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Any

import pytest

from perfagent.hub.alert.findings import Findings
from perfagent.hub.analyse.causes import KINDS, advice
from perfagent.hub.api.ranges import Range
from perfagent.hub.sources.seen import Blocked
from tests.cause_scenes import Look, Scene
from tests.hub import resource, span, traces

if TYPE_CHECKING:
    from tests.hub import ServedHub, ServeHub


WRONG: dict[str, tuple[Look, str, str]] = {
    "slow_query": (Look(missed=0.9, query_ms=240), "slow_query", "SELECT orders"),
    "lock": (Look(missed=0.3, update_ms=900), "lock", "UPDATE stock"),
    "leak": (Look(grows=2e6), "memory_leak", "shop-1.0"),
    "cpu hog": (Look(cpu=1.0, own_ms=60, query_ms=9), "cpu", "shop-1.0"),
    "N+1 release": (Look(missed=0.9, lines=12, version="2.0"), "n_plus_one", "SELECT lines"),
    "dead cache": (Look(lookup_fails=True, lookup_ms=2), "cache", "redis"),
    "cold cache": (Look(missed=1.0, query_ms=30), "cache", "redis"),
    "slow dependency": (Look(call_ms=900), "slow_dependency", "POST bank.example"),
    "error burst": (Look(fails=0.5), "errors", "KeyError"),
    "loop block": (Look(own_ms=300, lag_ms=300), "blocked_loop", "shop-1.0"),
    "pool starvation": (Look(own_ms=700, used=6, wait_ms=690), "pool", "shop"),
}


def said(hub: ServedHub) -> list[dict[str, Any]]:
    """The causes, as the interface tells them."""
    found: list[dict[str, Any]] = hub.get("causes")["items"]
    return found


@pytest.mark.parametrize("fault", WRONG)
def test_the_right_cause_is_named_first(hub: ServedHub, fault: str) -> None:
    look, kind, subject = WRONG[fault]
    healthy = (
        Look(missed=0.9) if kind in ("slow_query", "n_plus_one") else Look(missed=0.3) if kind == "lock" else Look()
    )
    Scene(look, healthy).send(hub)
    found = said(hub)
    assert found, "nothing was found"
    first = found[0]
    assert (first["kind"], first["subject"]) == (kind, subject), found
    assert first["score"] >= 0.6
    assert first["evidence"]
    assert len(first["steps"]) >= 3
    assert first["services"] == ["shop"]
    if kind not in ("memory_leak", "cache", "blocked_loop", "cpu", "pool"):
        assert len(first["traces"][0]) == 32
    if kind in ("slow_query", "lock", "n_plus_one"):
        assert first["place"] == "/srv/shop/orders.py:35 list_orders"
    if kind in ("slow_query", "slow_dependency", "lock"):
        assert first["seconds_per_day"] == pytest.approx(86_400 * 2 * _extra(look), rel=0.4)


def _extra(look: Look) -> float:
    return max((look.query_ms - 3) * 0.9, look.update_ms - 3, look.call_ms - 20) / 1000


@pytest.mark.parametrize("seed", range(2))
def test_a_healthy_shop_has_no_cause(hub: ServedHub, seed: int) -> None:
    Scene(seed=seed).send(hub)
    assert said(hub) == []


def test_a_release_that_is_as_good_as_the_one_before_is_no_cause(hub: ServedHub) -> None:
    Scene(Look(version="1.1", cpu=0.9, own_ms=9, missed=0.6)).send(hub)
    assert [one for one in said(hub) if one["score"] >= 0.6] == [], "caches are cold and modules are loaded at a start"


def test_a_slow_statement_of_another_service_is_named_and_not_the_call_of_that_service(hub: ServedHub) -> None:
    for first, last, ms in ((300, 58, 3.0), (58, 1, 400.0)):
        shop, bank = [], []
        for place in range(int((first - last) * 2)):
            ago, number = first - place / 2, hash((first, place)) & (2**60 - 1) | 1
            shop.append(span(number, "POST /pay", trace=number, ago=ago, ms=ms + 20))
            shop.append(span(number + 1, "POST", trace=number, parent=number, kind=3, ago=ago - 0.004, ms=ms + 12,
                             http__request__method="POST", server__address="bank"))  # fmt: skip
            bank.append(span(number + 2, "POST /charges", trace=number, parent=number + 1, ago=ago - 0.006, ms=ms + 8))
            bank.append(span(number + 3, "SELECT", trace=number, parent=number + 2, kind=3, ago=ago - 0.008, ms=ms,
                             db__system__name="postgresql", db__query__text="SELECT * FROM accounts WHERE iban = ?",
                             db__query__summary="SELECT accounts"))  # fmt: skip
        hub.send("traces", traces(resource("shop"), *shop))
        hub.send("traces", traces(resource("bank"), *bank))
    first_cause = said(hub)[0]
    assert (first_cause["kind"], first_cause["service"], first_cause["subject"]) == (
        "slow_query",
        "bank",
        "SELECT accounts",
    )
    assert set(first_cause["services"]) == {"bank", "shop"}


def test_what_the_database_says_of_locks_is_the_evidence(hub: ServedHub, monkeypatch: pytest.MonkeyPatch) -> None:
    Scene(Look(missed=0.9, query_ms=700), Look(missed=0.9)).send(hub)
    blocked = Blocked(
        source="orders", time=0.0, system="postgresql", database="shop", blocker=7, blocked=9, root=7, seconds=12.0,
        statement="SELECT id, total FROM orders WHERE customer = ?", blocking_statement="ALTER TABLE orders ADD x int",
        blocking_state="idle in transaction",
    )  # fmt: skip
    assert said(hub)[0]["kind"] == "slow_query"
    monkeypatch.setattr(type(hub.hub.sources), "facts", lambda _: [blocked])
    first = said(hub)[0]
    assert first["kind"] == "lock"
    assert any("session 7 (idle in transaction)" in one and "ALTER TABLE" in one for one in first["evidence"])


def test_every_kind_has_steps_and_an_effort() -> None:
    assert set(advice.STEPS) == set(advice.EFFORT) == set(KINDS)


def test_the_watcher_tells_a_cause_once_it_has_lasted_and_that_it_is_over(serve_hub: ServeHub) -> None:
    hub = serve_hub(PERFAGENT_ALERT_INTERVAL="3600")
    Scene(Look(call_ms=900)).send(hub)
    watcher, now = Findings(hub.hub), time()
    assert list(watcher.look(Range(now - 60, now))) == [], "one look may be mistaken"
    assert list(watcher.look(Range(now - 55, now + 5))) == []
    (told,) = watcher.look(Range(now - 40, now + 20))
    assert (told.kind, told.rule, told.service, told.subject) == (
        "finding",
        "slow_dependency",
        "shop",
        "POST bank.example",
    )
    assert (told.severity, told.since, told.until) == ("high", now, None)
    assert told.advice
    assert told.traces
    (over,) = watcher.look(Range(now, now + 200))
    assert over.until == now + 20

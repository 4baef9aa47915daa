"""Figures that move together are told, also with a delay; some that have nothing to do with each other hardly ever."""

from __future__ import annotations

from math import pi, sin
from random import Random
from typing import TYPE_CHECKING

import pytest

from perfagent.hub.analyse.correlations import FDR, correlate
from tests.hub import resource, span, traces

if TYPE_CHECKING:
    from tests.hub import ServedHub, ServeHub

LONG = 240  # minutes


def inert(random: Random, inertia: float, season: float = 0.0, rise: float = 0.0) -> list[float]:
    """A series whose values resemble those before them, with a season of two hours and a trend."""
    level, found = 0.0, []
    for minute in range(LONG):
        level = inertia * level + random.gauss(0, 1)
        found.append(level + season * sin(2 * pi * minute / 120) + rise * minute / LONG)
    return found


def independent(random: Random, count: int) -> dict[str, list[float | None]]:
    """Series that have nothing to do with each other, but trends, seasons and inertia as telemetry has."""
    return {
        f"alone {number}": list(
            inert(random, random.choice((0, 0.3, 0.6, 0.9, 0.98)), random.choice((0, 3, 10)), random.choice((0, 5, 20)))
        )
        for number in range(count)
    }


@pytest.mark.slow
def test_of_what_is_told_among_200_independent_series_hardly_any_is_false() -> None:
    random = Random(11)
    series = independent(random, 200)
    for number in range(10):
        lead = inert(random, 0.6, 2)
        late = number % 4
        series[f"lead {number}"] = list(lead)
        series[f"follow {number}"] = [None] * late + [one + random.gauss(0, 0.6) for one in lead[: LONG - late]]
    told = correlate(series)
    true = [one for one in told if {one.first, one.second} <= {f"lead {one.first[-1]}", f"follow {one.first[-1]}"}]
    assert len(true) == 10, "all that are coupled are found"
    assert len(told) - len(true) <= FDR * len(told)
    for one in true:
        assert one.lag_minutes == int(one.first[-1]) % 4
        assert not one.lag_minutes or (one.first.startswith("lead") and "min later" in one.text)
        assert one.p <= one.q <= FDR


def test_independent_series_alone_are_hardly_ever_told() -> None:
    said = [bool(correlate(independent(Random(seed), 25))) for seed in range(20)]
    assert sum(said) <= 3, "where all are independent, one look in twenty may err"


def test_neighbours_that_resemble_each_other_are_worth_fewer_observations() -> None:
    random = Random(3)

    def effective(inertia: float) -> float:
        walk = []
        level = total = 0.0
        for _ in range(LONG):  # changes that are inert themselves
            level = inertia * level + random.gauss(0, 1)
            total += level
            walk.append(total)
        (found,) = correlate({"a": walk, "b": [one + random.gauss(0, 0.01) for one in walk]})
        assert found.points == LONG - 1
        return found.effective

    assert effective(0.9) < 0.5 * effective(0.0)


def busy(hub: ServedHub, coupled: bool) -> None:
    """Two hours of a shop whose statements are slow when the stock is asked for much."""
    random, number = Random(4), 1
    shop, stock = [], []
    for minute in range(110, 1, -1):
        load = random.randint(3, 25)
        slow = 4.0 * load if coupled else random.uniform(12, 100)
        for place in range(load):
            number += 10
            stock.append(span(number, "GET /stock", trace=number, ago=60 * minute - place, ms=5))
        for place in range(6):
            number += 10
            ago = 60 * minute - 5 * place
            shop.append(span(number, "GET /items", trace=number, ago=ago, ms=slow + 2))
    hub.send("traces", traces(resource("shop"), *shop))
    hub.send("traces", traces(resource("stock"), *stock))


def test_figures_of_two_services_are_compared(hub: ServedHub) -> None:
    busy(hub, coupled=True)
    items = hub.get("correlations", hours=4)["items"]
    across = [one for one in items if one["services"] == ["shop", "stock"]]
    assert any("stock: rate" in (one["first"], one["second"]) for one in across), items
    assert all(one["q"] <= FDR for one in items)


def test_services_that_have_nothing_to_do_with_each_other_are_not_told(hub: ServedHub) -> None:
    busy(hub, coupled=False)
    assert [one for one in hub.get("correlations", hours=4)["items"] if len(one["services"]) > 1] == []


def test_correlations_can_be_turned_off(serve_hub: ServeHub) -> None:
    hub = serve_hub(ENABLE_INSIGHT_CORRELATION="false")
    busy(hub, coupled=True)
    assert hub.get("correlations", hours=4)["items"] == []

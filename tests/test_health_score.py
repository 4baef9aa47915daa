"""The health score: 100 less what each sign takes away; a worse sign never gives a better score."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from perfagent.hub.analyse.durations import MS, Durations, bucket_of
from perfagent.hub.analyse.health import FLOORS, Health, Signs, judge
from perfagent.hub.analyse.thresholds import DEFAULTS, changed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfagent.hub.analyse.thresholds import Thresholds


def requests(calls: int = 200, errors: int = 0, ms: float = 20.0) -> Durations:
    """Requests that all took as long."""
    return Durations(calls, errors, calls * ms * MS, round(ms * MS), 0, {bucket_of(ms * MS): float(calls)})


def score(signs: Signs, limits: Thresholds = DEFAULTS) -> int:
    """The score where there is one."""
    found = judge(signs, limits).score
    assert found is not None
    return found


amounts = st.floats(0, 1e5, allow_nan=False)
limits = st.fixed_dictionaries(
    {"warning": st.floats(0.1, 500), "critical": st.floats(0.1, 500)}
)  # fmt: skip


def chosen(names: Mapping[str, Mapping[str, float]]) -> Thresholds:
    """The default thresholds with others for some names, in the order that each demands."""
    wanted = {}
    for name, one in names.items():
        less = DEFAULTS[name].comparison == "less"
        low, high = sorted(one.values())
        wanted[name] = {"warning": high, "critical": low} if less else {"warning": low, "critical": high}
    return changed(DEFAULTS, wanted)


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(sorted(FLOORS)),
    first=amounts,
    second=amounts,
    others=st.dictionaries(st.sampled_from(sorted(FLOORS)), amounts),
    own=limits,
)
def test_a_worse_figure_never_gives_a_better_score(
    name: str, first: float, second: float, others: dict[str, float], own: dict[str, float]
) -> None:
    thresholds = chosen({name: own})
    better, worse = sorted((first, second), reverse=DEFAULTS[name].comparison == "less")
    signs = Signs(requests())
    assert score(replace(signs, figures={**others, name: worse}), thresholds) <= score(
        replace(signs, figures={**others, name: better}), thresholds
    )


@settings(max_examples=300, deadline=None)
@given(
    first=amounts,
    second=amounts,
    sign=st.sampled_from([("cpu", "cpu_usage_percent"), ("memory", "memory_usage_percent"),
                          ("lag_p99_ms", "event_loop_lag_p99_ms"), ("dropped", "")]),
    own=limits,
)  # fmt: skip
def test_a_worse_vital_sign_never_gives_a_better_score(
    first: float, second: float, sign: tuple[str, str], own: dict[str, float]
) -> None:
    field, threshold = sign
    thresholds = chosen({threshold: own}) if threshold else DEFAULTS
    better, worse = sorted((first, second))
    signs = Signs(requests())
    assert score(replace(signs, **{field: worse}), thresholds) <= score(replace(signs, **{field: better}), thresholds)


@settings(max_examples=300, deadline=None)
@given(
    errors=st.tuples(st.integers(0, 200), st.integers(0, 200)),
    ms=st.tuples(st.floats(0.01, 1e5), st.floats(0.01, 1e5)),
)
def test_more_failures_and_longer_requests_never_give_a_better_score(
    errors: tuple[int, int], ms: tuple[float, float]
) -> None:
    few, many = sorted(errors)
    assert score(Signs(requests(errors=many))) <= score(Signs(requests(errors=few)))
    quick, slow = sorted(ms)
    assert score(Signs(requests(ms=slow))) <= score(Signs(requests(ms=quick)))


def test_each_sign_costs_20_points_at_its_warning_and_45_at_its_critical_limit() -> None:
    assert score(Signs(requests())) == 100
    for name in FLOORS:
        limit = DEFAULTS[name]
        if limit.warning is not None:
            assert score(Signs(requests(), figures={name: limit.warning})) == 80, name
        if limit.critical is not None:
            assert score(Signs(requests(), figures={name: limit.critical})) == 55, name
    assert score(Signs(requests(), cpu=0.8)) == 80
    assert score(Signs(requests(), cpu=0.95)) == 55


def test_the_reasons_are_told_the_heaviest_first() -> None:
    found: Health = judge(
        Signs(requests(errors=40), figures={"database_pool_percent": 95.0, "cache_hit_rate_percent": 60.0}), DEFAULTS
    )
    assert [reason.split(" % ")[1] for reason in found.reasons] == [
        "of the requests failed", "of the connections of a pool are in use", "of the look-ups in caches find something"
    ]  # fmt: skip
    assert found.state == "unhealthy"
    off = changed(DEFAULTS, {"database_pool_percent": {"enabled": False}})
    assert score(Signs(requests(), figures={"database_pool_percent": 99.0}), off) == 100


def test_nothing_is_said_of_what_nothing_is_known_of() -> None:
    assert judge(Signs(Durations()), DEFAULTS) == Health(None, "idle", ["no requests and no vital signs in this range"])
    assert score(Signs(requests(calls=3, errors=1))) > 60, "one of three may be chance"

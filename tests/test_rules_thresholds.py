"""PERFAGENT_ALERT_THRESHOLDS: what it accepts, what it says of what it does not, and who wins over whom."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from perfagent.hub.analyse.thresholds import DEFAULTS, episodes, parse
from perfagent.hub.api import minutes, signs
from perfagent.hub.api.ranges import Range
from perfagent.settings import Settings
from tests.hub import gauge, metrics, resource

if TYPE_CHECKING:
    from pathlib import Path

    from tests.hub import ServedHub, ServeHub

CHANGES = {"error_rate_percent": {"warning": 2, "violations": 1}, "disk_usage_percent": {"enabled": False}}


def test_the_setting_changes_fields_and_leaves_the_others() -> None:
    assert parse(json.dumps(CHANGES)) == CHANGES
    assert parse("") == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("error_rate=5", "is no JSON"),
        ("[1]", "is no object; give one such as"),
        (
            '{"error_rate": {}}',
            "'error_rate' is no threshold; did you mean error_rate_percent? `perfagent thresholds list` shows all",
        ),
        ('{"error_rate_percent": 5}', "error_rate_percent=5 is no object"),
        ('{"error_rate_percent": {"warn": 5}}', "warning, critical, violations, cooldown_minutes, enabled"),
        ('{"error_rate_percent": {"warning": "5"}}', 'warning="5" is not accepted: a number from 0, or null'),
        ('{"error_rate_percent": {"warning": NaN}}', "a number from 0"),
        ('{"error_rate_percent": {"violations": 1.5}}', "violations=1.5 is not accepted: a whole number from 0 to"),
        ('{"error_rate_percent": {"enabled": 1}}', "enabled=1 is not accepted: true or false"),
        ('{"error_rate_percent": {"warning": 20}}', "critical=10 is less severe than warning=20"),
    ],
)
def test_what_is_off_is_named_with_what_is_accepted(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        parse(text)


def test_a_settings_file_may_have_a_table_and_both_names_are_known(tmp_path: Path) -> None:
    (tmp_path / "perfagent.toml").write_text("[alert_thresholds.error_rate_percent]\nwarning = 2\nviolations = 1\n")
    assert parse(Settings({}, str(tmp_path)).hub_thresholds) == {"error_rate_percent": {"warning": 2, "violations": 1}}
    environ = {"PERFORMANCE_ALERT_THRESHOLDS": json.dumps(CHANGES)}
    assert parse(Settings(environ, str(tmp_path)).hub_thresholds) == CHANGES


def test_no_violations_in_a_row_are_as_good_as_one() -> None:
    at_once = DEFAULTS["slow_query_ms"].__class__(**{**DEFAULTS["slow_query_ms"].answer(), "violations": 0})
    (one,) = episodes(at_once, [0, 60, 120], [1.0, 6000.0, 1.0])
    assert (one.since, one.until, one.worst) == (60, 120, 6000.0)


def test_the_hub_takes_default_then_setting_then_what_is_changed_at_run_time(serve_hub: ServeHub) -> None:
    hub = serve_hub(PERFAGENT_ALERT_THRESHOLDS=json.dumps(CHANGES))

    def limits() -> dict[str, Any]:
        return {one["name"]: one for one in hub.get("thresholds")["items"]}

    known = limits()
    assert (known["error_rate_percent"]["warning"], known["error_rate_percent"]["critical"]) == (2, 10)
    assert known["error_rate_percent"]["changed"]
    assert not known["disk_usage_percent"]["enabled"]
    changed = {"items": [{"name": "error_rate_percent", "warning": 3, "violations": 0}]}
    assert hub.ask("thresholds", "admin", "PUT", json=changed).status_code == 200
    assert (limits()["error_rate_percent"]["warning"], limits()["error_rate_percent"]["violations"]) == (3, 0)
    # A hub that starts anew with another setting keeps what was changed at run time, where the two fit together.
    hub.hub.store.keep("thresholds_setting", {"error_rate_percent": {"critical": 1, "warning": 1}, **CHANGES})
    assert limits()["error_rate_percent"]["warning"] == 3
    hub.hub.store.keep("thresholds_setting", {"error_rate_percent": {"critical": 1, "warning": 1}})
    assert (limits()["error_rate_percent"]["warning"], limits()["error_rate_percent"]["critical"]) == (1, 1)


def test_a_setting_that_is_off_is_reported_and_the_defaults_serve(
    serve_hub: ServeHub, capfd: pytest.CaptureFixture[str]
) -> None:
    hub = serve_hub(PERFAGENT_ALERT_THRESHOLDS='{"nonsense": {}}')
    assert not any(one["changed"] for one in hub.get("thresholds")["items"])
    told = capfd.readouterr().err
    assert "PERFAGENT_ALERT_THRESHOLDS: 'nonsense' is no threshold; `perfagent thresholds list` shows all" in told
    assert "going on with the defaults" in told


def test_every_threshold_is_measured_where_it_is_asked_for_alone() -> None:
    """A threshold that no query is for would never be violated."""
    asked = {*minutes.CALLS, *minutes.LEVELS, "cache_hit_rate_percent", "event_loop_lag_p99_ms"}
    measured = {name for name, one in DEFAULTS.items() if not one.measure.endswith("in Prometheus alone")}
    assert asked.union(*signs.THRESHOLDS.values()) == measured
    assert signs.THRESHOLDS.keys() == signs.METRICS.keys()


def test_what_no_threshold_asks_for_is_not_read(hub: ServedHub, monkeypatch: pytest.MonkeyPatch) -> None:
    points = gauge("process.uptime", 9.0, "s"), gauge("process.cpu.utilization", 0.9)
    hub.send("metrics", metrics(resource("shop"), *points))
    asked: list[str] = []
    rows = hub.hub.store.rows

    def noting(query: str, /, **parameters: object) -> Any:
        asked.append(query)
        return rows(query, **parameters)

    monkeypatch.setattr(hub.hub.store, "rows", noting)
    within = Range(time.time() - 300, time.time())
    for name, queries in (
        ("cpu_usage_percent", ["alerts/levels"]),
        ("cache_hit_rate_percent", ["alerts/caches"]),
        ("restarts", ["alerts/names", "alerts/uptimes"]),
    ):
        asked.clear()
        found = minutes.measured(hub.hub.store, within, None, {name: DEFAULTS[name]})
        assert asked == queries
        assert {key for key, _ in found} <= {name}

"""Alerts, incidents, silences and windows of a whole hub, by its interface."""

from __future__ import annotations

import json
import textwrap
import threading
import time
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from perfagent.hub.alert import alerts, maintenance, watchers
from perfagent.hub.alert.violation import Violation
from perfagent.hub.store import archive
from tests.hub import PREFIX, gauge, metrics, resource, span, traces

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from perfagent.hub.alert.event import Event
    from perfagent.hub.api.ranges import Range
    from tests.hub import ServedHub, ServeHub


def fail(hub: ServedHub, service: str = "shop", *, minutes: Iterable[int] = range(1, 7), number: int = 0) -> None:
    """Sends requests of some minutes ago, of which a quarter fail."""
    for minute in minutes:
        first = number + (minute + 1) * 1000
        requests = (span(first + one, ago=60 * minute + 5, status=500 if one < 5 else 200) for one in range(20))
        hub.send("traces", traces(resource(service), *requests))


def act(hub: ServedHub, role: str = "operator", /, **body: Any) -> dict[str, Any]:
    """Does something about an alert."""
    response = hub.ask("alerts", role, "POST", json=body)
    assert response.status_code == 200, response.text
    data: dict[str, Any] = response.json()["data"]
    return data


def told(hub: ServedHub) -> list[str]:
    """Collects what people are told from now on."""
    found: list[str] = []
    hub.hub.alerts.subscribe(lambda events: found.extend(event.happening for event in events))
    return found


def test_an_alert_goes_through_its_life_and_its_incident_tells_all_of_it(hub: ServedHub) -> None:
    events = told(hub)
    fail(hub)
    (alert,) = hub.alerts(active_only="true")
    assert (alert["kind"], alert["rule"], alert["advice"] != "") == ("threshold", "error_rate_percent", True)
    for action, state in (
        ("acknowledge", "acknowledged"),
        ("reopen", "firing"),
        ("escalate", "escalated"),
        ("dismiss", "dismissed"),
    ):
        assert act(hub, id=alert["id"], action=action, note=f"I {action}")["state"] == state
    assert hub.get("alerts", active_only="true")["items"] == []
    act(hub, id=alert["id"], action="reopen")
    assert act(hub, id=alert["incident"], action="resolve", note="rolled back")["state"] == "resolved"
    found = hub.get(f"incidents/{alert['incident']}")
    assert (found["state"], found["closed"], found["title"]) == ("resolved", True, "Failing requests in shop")
    assert [one["id"] for one in found["items"]] == [alert["id"]]
    whats = [one["what"] for one in found["timeline"] if one["what"] not in ("told", "restart", "version")]
    assert whats == ["began", "acknowledged", "reopened", "escalated", "dismissed", "reopened", "resolved"]
    assert [one["note"] for one in found["timeline"] if one["what"] == "dismissed"] == ["I dismiss"]
    assert events == ["fired", "acknowledged", "reopened", "escalated", "dismissed", "reopened", "resolved"]
    assert hub.ask("alerts", "operator", "POST", json={"id": alert["id"], "action": "dismiss"}).status_code == 404


def test_a_slow_statement_explains_the_slow_endpoint_and_the_errors_of_the_service_that_calls_it(
    hub: ServedHub,
) -> None:
    """web calls shop, shop asks a database that takes 6 s."""
    web, shop = [], []
    for minute in range(1, 6):
        ago = 60.0 * minute + 30
        for number in range(minute * 1000, minute * 1000 + 120, 10):
            web += [
                span(number, "GET /", trace=number, ago=ago, ms=6100, status=500),
                span(number + 1, "POST", trace=number, parent=number, kind=3, ago=ago, ms=6090),
            ]
            shop += [
                span(number + 2, "POST /orders", trace=number, parent=number + 1, ago=ago, ms=6080),
                span(number + 3, "SELECT orders", trace=number, parent=number + 2, kind=3, ago=ago, ms=6000,
                     db__system__name="postgresql", db__query__text="SELECT * FROM orders"),
            ]  # fmt: skip
    hub.send("traces", traces(resource("web"), *web))
    hub.send("traces", traces(resource("shop"), *shop))
    found = [one for one in hub.alerts() if one["kind"] == "threshold"]
    assert {(one["service"], one["rule"]) for one in found} >= {
        ("web", "error_rate_percent"), ("web", "response_time_p95_ms"), ("shop", "response_time_p95_ms"),
        ("shop", "slow_query_ms"), ("shop", "database_time_average_ms"),
    }  # fmt: skip
    assert len({one["incident"] for one in found}) == 1, "one cause, one incident"
    found = hub.get(f"incidents/{found[0]['incident']}")
    assert found["services"][0] == "shop"
    assert found["cause"]
    first = next(one for one in found["items"] if one["kind"] == "threshold")
    assert (first["service"], first["rule"]) == ("shop", "slow_query_ms")


def test_services_without_anything_in_common_have_incidents_of_their_own(hub: ServedHub) -> None:
    fail(hub, "shop")
    fail(hub, "reports", number=500_000)
    found = [one for one in hub.alerts() if one["kind"] == "threshold"]
    assert len({one["incident"] for one in found}) == len(found) == 2
    assert [one["services"] for one in hub.get("incidents", service="reports")["items"]] == [["reports"]]


def test_a_silence_keeps_what_it_matches_quiet_until_it_ends(hub: ServedHub) -> None:
    events = told(hub)
    silence = act(hub, action="silence", matchers={"service": "sh*", "rule": "error_*"}, duration_minutes=30)
    fail(hub)
    (alert,) = hub.alerts(active_only="true")
    assert alert["muted"] == f"silence {silence['silence']}"
    assert events == []
    (known,) = hub.get("alerts/silences")["items"]
    assert (known["active"], known["by"], known["matchers"]) == (
        True,
        "operator",
        {"service": "sh*", "rule": "error_*"},
    )
    assert hub.ask(f"alerts/silences/{silence['silence']}", "operator", "DELETE").status_code == 200
    assert events == ["fired"]
    assert hub.ask(f"alerts/silences/{silence['silence']}", "operator", "DELETE").status_code == 404
    act(hub, id=alert["id"], action="silence", duration_minutes=5)
    assert hub.get("alerts")["items"][0]["muted"].startswith("silence ")


def test_what_a_silence_or_an_action_lacks_is_said(hub: ServedHub) -> None:
    for body, field in (
        ({"action": "silence"}, "matchers"),
        ({"action": "acknowledge"}, "id"),
        ({"action": "acknowledge", "id": "0" * 16, "duration_minutes": 5}, "id"),
        ({"action": "silence", "matchers": {"host": "x"}}, "matchers.host"),
        ({"action": "silence", "matchers": {"service": "x"}, "duration_minutes": 0}, "duration_minutes"),
    ):
        error = hub.ask("alerts", "operator", "POST", json=body).json()["error"]
        assert error["field"].startswith(field), error
    assert hub.ask("alerts", "viewer", "POST", json={"action": "silence"}).status_code == 403


def test_a_maintenance_window_is_begun_and_ended_at_run_time_and_what_still_fires_is_told(hub: ServedHub) -> None:
    events = told(hub)
    body = {"name": "upgrade", "services": ["shop"], "duration_minutes": 30, "reason": "new disks"}
    begun = hub.ask("maintenance", "operator", "POST", json=body).json()["data"]
    assert (begun["active"], begun["by"], begun["end"] - begun["begin"]) == (True, "operator", 1800)
    fail(hub)
    assert [one["muted"] for one in hub.alerts()] == ["maintenance upgrade"]
    assert events == []
    ended = hub.ask("maintenance/upgrade", "operator", "DELETE").json()["data"]
    assert not ended["active"]
    assert events == ["fired"]
    assert hub.ask("maintenance/upgrade", "operator", "DELETE").status_code == 404
    actions = [one["action"] for one in hub.get("audit", "admin")["items"]]
    assert actions == ["maintenance.end", "maintenance.begin"]


def test_windows_of_files_count_are_ended_for_once_and_what_is_off_is_told(serve_hub: ServeHub, tmp_path: Path) -> None:
    (tmp_path / "hub0").mkdir()
    (tmp_path / "hub0" / "perfagent.toml").write_text(
        textwrap.dedent("""
            [[maintenance]]
            name = "always"
            services = ["shop"]
            days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
            from = "00:00"
            to = 00:00:00
            zone = "Europe/Berlin"

            [[maintenance]]
            name = "over"
            begin = 2020-01-01T00:00:00Z
            end = 2020-01-02T00:00:00Z

            [[maintenance]]
            name = "off"
            days = ["someday"]
            from = "00:00"
            to = "01:00"
            """)
    )
    hub, now = serve_hub(), time.time()
    fail(hub)
    assert [one["muted"] for one in hub.alerts()] == ["maintenance always"]
    (problem,) = hub.hub.alerts.problems
    assert "off: days=['someday'] are no days; there are: mon, tue" in problem
    found = {one["name"]: one for one in hub.get("maintenance")["items"]}
    assert {name: one["active"] for name, one in found.items()} == {"always": True, "over": False}
    assert found["always"]["weekly"] == "mon, tue, wed, thu, fri, sat, sun 00:00-00:00 Europe/Berlin"
    assert now < found["always"]["end"] <= now + 86_400
    assert not hub.ask("maintenance/always", "operator", "DELETE").json()["data"]["active"]
    assert [one["muted"] for one in hub.get("alerts")["items"]] == [""]


@pytest.mark.parametrize(
    ("table", "wrong"),
    [
        ({"name": ""}, "name='' is no name"),
        ({"name": "x"}, "no time says not when it is"),
        ({"name": "x", "begin": "2026-05-01"}, "end is missing"),
        ({"name": "x", "begin": "soon", "end": 5}, "begin='soon' is no moment"),
        ({"name": "x", "begin": 5, "end": 5}, "end=5 is not after begin=5"),
        ({"name": "x", "begin": 5, "end": 6, "days": ["mon"]}, "says not when it is"),
        ({"name": "x", "days": "mon", "from": "25:00", "to": "01:00"}, "from='25:00' is no time of day"),
        ({"name": "x", "days": "mon", "from": "23:00", "to": "01:00", "zone": "Moon"}, "zone='Moon' is no time zone"),
        ({"name": "x", "begin": 5, "end": 6, "services": "shop"}, "services='shop' is no list"),
        ({"name": "x", "until": 5}, "until=5 is no key; there are: name"),
    ],
)
def test_a_window_that_is_off_says_what_and_what_is_accepted(table: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValueError, match="is") as raised:
        maintenance.parse(table, "perfagent.toml")
    assert wrong in str(raised.value)


def test_a_weekly_window_goes_over_midnight_in_its_own_time_zone() -> None:
    window = maintenance.parse(
        {"name": "x", "days": ["sat"], "from": "22:00", "to": "04:00", "zone": "Europe/Berlin"}, "perfagent.toml"
    )
    saturday = 1_782_511_200.0  # Saturday 27 June 2026, 00:00 in Berlin
    on = {hour for hour in range(24 * 3) if window.lasts(saturday + hour * 3600)}
    assert on == {22, 23, 24, 25, 26, 27}
    assert maintenance.next_change(window, saturday + 23 * 3600) == saturday + 28 * 3600


def test_late_data_are_looked_at_and_what_was_over_long_ago_is_history_alone(
    hub: ServedHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "DEEP", 0.0)
    events = told(hub)
    hub.send("traces", traces(resource("shop"), span(1, ago=5)))
    assert hub.alerts() == []
    fail(hub, "shop", minutes=range(300, 306))
    (alert,) = hub.alerts()
    assert (alert["state"], alert["worst"]) == ("resolved", 25)
    assert 295 * 60 < time.time() - alert["until"] < 305 * 60
    assert events == []
    assert hub.get("incidents", active_only="true")["items"] == []
    assert hub.get(f"incidents/{alert['incident']}")["closed"]


def test_imported_data_make_history_too(serve_hub: ServeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "DEEP", 0.0)
    source, target = serve_hub(), serve_hub()
    fail(source, "shop", minutes=range(300, 306))
    archive.export(source.hub.store, tmp_path / "archive", time.time() - 86_400, time.time())
    target.send("traces", traces(resource("other"), span(1, ago=5)))
    assert target.alerts() == []
    archive.import_(target.hub.store, tmp_path / "archive")
    assert [one["service"] for one in target.alerts()] == ["shop"]


def test_a_look_without_anything_new_costs_nothing(hub: ServedHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.hub.alerts.look()
    monkeypatch.setattr(hub.hub.alerts, "_watch", lambda *_: pytest.fail("nothing was stored since"))
    assert hub.hub.alerts.look() == []


def test_a_watcher_that_fails_is_told_of_once_and_the_others_go_on(
    hub: ServedHub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def look(self, within: Range) -> Iterable[Violation]:
            raise RuntimeError("no such column")

    made = watchers.made
    monkeypatch.setattr(watchers, "made", lambda hub: [Broken(), *made(hub)])
    fail(hub)
    assert [one["rule"] for one in hub.alerts()] == ["error_rate_percent"]
    hub.hub.alerts.look()
    assert sum("no such column" in one.message for one in caplog.records) == 1


def test_what_nobody_could_take_is_handed_on_again_with_the_same_identity(hub: ServedHub) -> None:
    taken: list[str] = []
    refusing = [True]

    def take(events: list[Event]) -> None:
        if refusing[0]:
            raise OSError("the disk is full")
        taken.extend(event.id for event in events)

    hub.hub.alerts.subscribe(take)
    fail(hub)
    (alert,) = hub.alerts()
    assert taken == []
    waiting = [row["id"] for row in hub.hub.store.rows("alerts/unhanded")]
    refusing[0] = False
    hub.hub.alerts.look()
    assert taken == waiting == [f"{alert['incident']}-1"]
    assert hub.hub.store.rows("alerts/unhanded") == []


def test_the_hub_looks_by_itself_and_those_who_watch_are_told(serve_hub: ServeHub) -> None:
    hub = serve_hub(PERFAGENT_ALERT_INTERVAL="1")
    seen, opened = threading.Event(), threading.Event()

    def watch() -> None:
        with hub.client.stream("GET", f"{PREFIX}/realtime", headers=hub.bearer("viewer")) as stream:
            name = ""
            for line in stream.iter_lines():
                opened.set()
                name = line.removeprefix("event: ") if line.startswith("event: ") else name
                if name == "alerts" and line.startswith("data: "):
                    assert json.loads(line.removeprefix("data: ")) == {"alerts": 1, "incidents": 1}
                    seen.set()
                    return

    threading.Thread(target=watch, daemon=True).start()
    assert opened.wait(30)
    fail(hub)
    assert seen.wait(60), "no alert without asking"


def test_lists_are_filtered_and_paged(hub: ServedHub) -> None:
    for number, service in enumerate(("one", "two", "three")):
        fail(hub, service, number=number * 100_000)
    hub.send(
        "metrics", metrics(resource("two"), *(gauge("replication_lag_seconds", 20, ago=60.0 * ago) for ago in range(5)))
    )
    everything = [one["id"] for one in hub.alerts()]
    assert len(everything) == 4
    page = hub.get("alerts", limit=3)
    assert [one["id"] for one in page["items"]] == everything[:3]
    assert [one["id"] for one in hub.get("alerts", limit=3, cursor=page["next"])["items"]] == everything[3:]
    assert {one["rule"] for one in hub.get("alerts", service="two")["items"]} == {
        "error_rate_percent",
        "replication_lag_ms",
    }
    assert [one["rule"] for one in hub.get("alerts", severity="warning")["items"]] == ["replication_lag_ms"]
    assert hub.get("alerts", kind="slo")["items"] == []
    assert len(hub.get("incidents")["items"]) == 3
    assert hub.refusal("incidents/0000000000000000")[0] == 404


def test_a_look_that_fails_half_way_is_forgotten_and_the_next_one_sees_all_of_it(
    hub: ServedHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(hub)
    hub.alerts()
    fail(hub, "pay", number=50_000)
    rows = hub.hub.store.rows

    def failing(query: str, /, **parameters: object) -> Any:
        if query == "alerts/service_calls":
            raise duckdb.IOException("the disk is gone")
        return rows(query, **parameters)

    monkeypatch.setattr(hub.hub.store, "rows", failing)
    with pytest.raises(duckdb.IOException):
        hub.hub.alerts.look()
    monkeypatch.setattr(hub.hub.store, "rows", rows)
    assert {alert["service"] for alert in hub.alerts(active_only="true")} == {"shop", "pay"}


def test_what_is_to_be_quiet_is_quiet_at_once_though_the_data_are_of_half_a_minute_ago(hub: ServedHub) -> None:
    """As on Prometheus, where "now" is the end of what is known."""
    mutes = hub.hub.alerts.mutes
    now = time.time() - 30
    wrong = Violation("rule", "slow", "shop", "warning", "slow", "slow", now)
    assert mutes.judge()(now, wrong) == ""
    silence = mutes.silence({"service": "sh*"}, 60.0, "operator", "")
    assert mutes.judge()(now, wrong) == f"silence {silence.id}"
    mutes.end_silence(silence.id)
    mutes.begin(maintenance.Window("upgrade", ("shop",), begin=time.time()))
    assert mutes.judge()(now, wrong) == "maintenance upgrade"

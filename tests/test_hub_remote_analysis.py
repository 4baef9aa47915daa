"""Comparisons, baselines, trends, insights, causes, objectives and sources of a hub on a real Prometheus."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.remotes import HOUR, Faulty, Past, prometheus, reading
from tests.stack import eventually

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

SLO = '[[slo]]\nname = "shop"\nservice = "shop"\nobjective = 99.0\nindicator = "availability"\n'
ASKED = (
    "overview", "insights", "recommendations", "causes", "correlations", "trends", "trends?from=-24h", "baselines",
    "compare?before=-2h..-1h&after=-1h..now", "compare/side?of=-1h..now", "objectives", "objectives/shop", "sources",
    "alerts", "incidents", "hub",
)  # fmt: skip


def test_every_answer_of_the_analysis_is_one_and_what_cannot_be_told_says_so(tmp_path: Path) -> None:
    past = Past(3)
    past.shop()
    labels = {"job": "shop", "instance": "shop-1", "service_name": "shop", "http_request_method": "GET"}
    for code, calls in (("200", 99), ("500", 1)):
        told = {**labels, "http_route": "/items", "http_response_status_code": code}
        past.histogram("http_server_request_duration_seconds", told, {0.02: calls}, calls * 0.01)
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "perfagent.toml").write_text(SLO)
    with prometheus(tmp_path / "prometheus", past.series) as running, Faulty(running.addresses["url"]) as proxy:
        settings = {"PERFAGENT_PROMETHEUS_URL": proxy.url, "PERFAGENT_REMOTE_TIMEOUT": "2"}
        with reading(tmp_path / "hub", **settings) as hub:
            eventually(lambda: hub.get("endpoints")["items"], 30, lambda: str(hub.remote.problems()))
            answers = {path: hub.ask(path) for path in ASKED}
            failed = {path: one.text for path, one in answers.items() if one.status_code != 200}
            assert not failed
            compared = answers["compare?before=-2h..-1h&after=-1h..now"].json()["data"]
            assert compared["tested"] > 0
            assert compared["verdict"] == "same", "each hour of this past is like the one before"
            assert [one for one in answers["trends"].json()["data"]["items"] if one["points"] >= 10]
            assert answers["objectives/shop"].json()["data"]["error_ratio"] == pytest.approx(0.01, rel=0.02)
            hub.hub.alerts.look()
            for refused in ("compare?before=1.0&after=2.0", "compare?before=before-start&after=start"):
                answer = hub.ask(refused)
                assert answer.status_code in (200, 404), answer.text
            made = hub.ask("baseline", "operator", "POST", json={"duration_minutes": 90})
            assert made.status_code == 201, made.text
            assert hub.get("baseline")["figures"]
            now = time.time()
            empty = hub.get("compare", before=f"{now - 9 * HOUR:.0f}..{now - 8 * HOUR:.0f}", after="-1h..now")
            assert empty["verdict"] == "nothing"
        with (
            Faulty("http://127.0.0.1:9") as dead,
            reading(tmp_path / "hub", PERFAGENT_PROMETHEUS_URL=dead.url, PERFAGENT_REMOTE_TIMEOUT="1") as hub,
        ):
            for path in ASKED:
                answer = hub.ask(path)
                assert answer.status_code in (200, 503), f"{path}: {answer.text}"
                if answer.status_code == 503:
                    assert "Prometheus" in answer.text
            hub.hub.alerts.look()

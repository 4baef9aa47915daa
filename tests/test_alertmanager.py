"""Alertmanager with the file of the stack: its routes, and a real one that groups, inhibits and keeps silent."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import threading
import time
import urllib.request
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tools.stack.build import is_built, program
from tools.stack.parts import PARTS

from tests.program import find_free_port
from tests.servers import missing
from tests.test_rules import PROMETHEUS, RULES, promtool, rules

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import RunProgram

CONFIG = Path(__file__).parent.parent / "collector" / "alertmanager" / "alertmanager.yml"
QUIET = 7.0  # seconds without a notification after which none comes any more: group_wait is 5


def tool(name: str) -> str:
    """The path of Alertmanager or amtool."""
    if not is_built(PARTS["alertmanager"]):
        missing(name, "python -m tools.stack build alertmanager")
    return str(program(PARTS["alertmanager"], name))


def amtool(*words: str) -> str:
    """What amtool says; fails with it where it is not content."""
    done = subprocess.run([tool("amtool"), *words], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# The files


def test_amtool_accepts_the_file_with_every_example() -> None:
    assert "7 receivers" in amtool("check-config", str(CONFIG))


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (("alertname=FailingRequests", "severity=critical", "service_name=shop"), "critical"),
        (("alertname=FailingRequests", "severity=warning", "service_name=shop"), "warning"),
        (("alertname=SloBurnsFast", "severity=critical", "slo=shop-latency"), "critical"),
        (("alertname=DeprecatedCodeCalled", "severity=low", "service_name=shop"), "nobody"),
        (("alertname=Unknown",), "webhook"),
    ],
)
def test_alerts_go_by_their_severity(labels: tuple[str, ...], receiver: str) -> None:
    amtool("config", "routes", "test", f"--config.file={CONFIG}", f"--verify.receivers={receiver}", *labels)


def test_a_critical_alert_inhibits_the_warning_of_every_thing_that_rules_tell_apart() -> None:
    (first, *_) = yaml.safe_load(CONFIG.read_text())["inhibit_rules"]
    kept = {
        name
        for rule in rules(RULES)
        for labels in re.findall(r"by \(([^)]*)\)", rule["expr"])
        for name in labels.split(", ")
    }
    both = {
        rule["labels"]["threshold"]: {name for name in kept if f"$labels.{name} " in rule["annotations"]["summary"]}
        for rule in rules(RULES)
        if rule["labels"].get("severity") == "critical"
    }
    assert set().union(*both.values()) <= set(first["equal"])


def test_promtool_accepts_prometheus_with_and_without_the_examples(tmp_path: Path) -> None:
    promtool("check", "config", PROMETHEUS / "prometheus.yml")
    for part in ("rules", "examples"):
        (tmp_path / part).mkdir()
        for file in (PROMETHEUS / part).glob("*.yml"):
            (tmp_path / part / file.name).write_text(file.read_text())
    (tmp_path / "prometheus.yml").write_text((PROMETHEUS / "prometheus.yml").read_text())
    (tmp_path / "examples").rename(tmp_path / "scrape")
    (tmp_path / "scrape" / "hub.token").write_text("token")
    (tmp_path / "targets").mkdir()
    target = [{"targets": ["shop:9464"], "labels": {"service_name": "shop"}}]
    (tmp_path / "targets" / "programs-shop.json").write_text(json.dumps(target))
    assert "WARNING" not in promtool("check", "config", tmp_path / "prometheus.yml")


# A real one


class Receiver:
    """A server that takes notifications; `bodies` has what arrived, each with when."""

    def __init__(self) -> None:
        self.bodies: list[tuple[float, dict[str, Any]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.bodies.append((time.monotonic(), body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_address[1]}"

    def settled(self, least: int, timeout: float = 40) -> list[dict[str, Any]]:
        """What has arrived once there are so many and no more come."""
        deadline = time.monotonic() + timeout
        while len(self.bodies) < least or time.monotonic() - self.bodies[-1][0] < QUIET:
            assert time.monotonic() < deadline, f"{len(self.bodies)} of {least} notifications"
            time.sleep(0.1)
        return [body for _, body in self.bodies]


class Alertmanager:
    """Alertmanager with the file of the stack, whose webhook is `receiver`."""

    def __init__(self, url: str, receiver: Receiver) -> None:
        self.url, self.receiver = url, receiver

    def post(self, path: str, body: object) -> Any:
        """Sends JSON to its interface, and returns the answer."""
        data = json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/api/v2/{path}", data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def fire(self, *labels: dict[str, str], ends: bool = False) -> None:
        """Fires alerts as Prometheus does, or ends them."""
        now = datetime.now(timezone.utc)
        times = {"startsAt": (now - timedelta(minutes=1)).isoformat(), **({"endsAt": now.isoformat()} if ends else {})}
        self.post("alerts", [{"labels": one, "annotations": {"summary": "told"}, **times} for one in labels])

    def get(self, path: str) -> Any:
        """An answer of its interface."""
        with urllib.request.urlopen(f"{self.url}/api/v2/{path}", timeout=60) as answer:
            return json.load(answer)

    def states(self) -> dict[tuple[str, str], str]:
        """The state of each alert, by its name and severity."""
        found = self.get("alerts")
        return {(one["labels"]["alertname"], one["labels"]["severity"]): one["status"]["state"] for one in found}


@pytest.fixture
def alertmanager(run_program: RunProgram, tmp_path: Path) -> Iterator[Alertmanager]:
    """A running Alertmanager that knows of no alert."""
    path, receiver, port = tool("alertmanager"), Receiver(), find_free_port()
    threading.Thread(target=receiver.server.serve_forever, daemon=True).start()
    config = tmp_path / "alertmanager.yml"
    config.write_text(CONFIG.read_text().replace("webhook:8080", receiver.host))
    words = (f"--config.file={config}", f"--storage.path={tmp_path}", f"--web.listen-address=127.0.0.1:{port}")
    running = run_program(path, *words, "--cluster.listen-address=")
    found = Alertmanager(f"http://127.0.0.1:{port}", receiver)
    deadline = time.monotonic() + 60
    while True:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{found.url}/-/ready", timeout=5).close()
            break
        assert time.monotonic() < deadline, running.stderr
        time.sleep(0.1)
    yield found
    receiver.server.shutdown()
    receiver.server.server_close()


def alert(name: str, severity: str, threshold: str, service: str = "shop", **labels: str) -> dict[str, str]:
    """The labels of an alert as our rules have them."""
    return {"alertname": name, "severity": severity, "threshold": threshold, "service_name": service, **labels}


@pytest.mark.slow
def test_one_notification_arrives_the_warning_is_inhibited_and_a_silence_stops_the_third(
    alertmanager: Alertmanager,
) -> None:
    now = datetime.now(timezone.utc)
    silence = {
        "matchers": [{"name": "alertname", "value": "SlowQuery", "isRegex": False, "isEqual": True}],
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(hours=1)).isoformat(),
        "createdBy": "the tests",
        "comment": "the report runs",
    }
    assert alertmanager.post("silences", silence)["silenceID"]
    began = time.monotonic()
    alertmanager.fire(
        alert("DiskNearlyFull", "critical", "disk_usage_percent", mountpoint="/data"),
        alert("DiskNearlyFull", "critical", "disk_usage_percent", mountpoint="/logs"),
        alert("DiskNearlyFull", "warning", "disk_usage_percent", mountpoint="/data"),
        alert("SlowQuery", "warning", "slow_query_ms"),
    )
    (told,) = alertmanager.receiver.settled(1)
    assert alertmanager.receiver.bodies[0][0] - began < 60
    assert (told["status"], told["receiver"]) == ("firing", "critical")
    assert sorted(one["labels"]["mountpoint"] for one in told["alerts"]) == ["/data", "/logs"]
    assert {one["labels"]["severity"] for one in told["alerts"]} == {"critical"}
    states = alertmanager.states()
    assert states["DiskNearlyFull", "critical"] == "active"
    assert states["DiskNearlyFull", "warning"] == states["SlowQuery", "warning"] == "suppressed"


@pytest.mark.slow
def test_a_collector_that_is_down_keeps_what_is_behind_it_from_being_told_as_silent(alertmanager: Alertmanager) -> None:
    alertmanager.fire(
        alert("HealthCheckFailed", "critical", "health_check", "gateway"),
        alert("ServiceSilent", "warning", "telemetry_silence_minutes", "shop"),
        alert("ServiceSilent", "warning", "telemetry_silence_minutes", "payments"),
        # Another disk than the critical one is a matter of its own.
        alert("DiskNearlyFull", "critical", "disk_usage_percent", mountpoint="/data"),
        alert("DiskNearlyFull", "warning", "disk_usage_percent", mountpoint="/logs"),
    )
    told = alertmanager.receiver.settled(3)
    names = sorted((one["labels"]["alertname"], one["labels"]["severity"]) for body in told for one in body["alerts"])
    assert names == [("DiskNearlyFull", "critical"), ("DiskNearlyFull", "warning"), ("HealthCheckFailed", "critical")]

"""The deprecation ledger where people read it: the hub's interface, `perfagent deprecations`, the page, /metrics."""

from __future__ import annotations

import json
import re
import sys
import time
import urllib.request
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

from tests.agent import agent_env
from tests.browser import NARROW, WIDE, Visit
from tests.hub import counter, metrics, resource
from tests.remotes import prometheus, reading
from tests.test_docs import blocks

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.conftest import RunProgram
    from tests.hub import ServedHub
    from tests.hubs import Home
    from tests.otlp import Receiver

CALLS = "perfagent.deprecation.calls"
OWN = {
    "function": "shop.pricing.old_price", "code__file__path": "/srv/shop/orders.py", "code__line__number": 28,
    "code__function__name": "list_orders", "deprecation__message": "use gross_price()",
    "deprecation__category": "DeprecationWarning", "deprecation__own": "true",
}  # fmt: skip
FOREIGN = {
    "function": "parrot.talk", "deprecation__library": "parrot-talk", "deprecation__version": "2.5",
    "deprecation__warned_at": "/usr/lib/python3/site-packages/parrot/client.py:40", "deprecation__own": "false",
    "deprecation__message": "talk() is deprecated <script>window.broken=1</script>",
}  # fmt: skip


def send(hub: ServedHub) -> None:
    """Two processes of a shop that call something old, a library that does, and a counter that tells no places."""
    for instance, times in (("shop-1", 7), ("shop-2", 5)):
        told = (counter(CALLS, times, unit="{call}", **OWN), counter(CALLS, 900, unit="{call}", **FOREIGN))
        by_function = counter("deprecated_function_calls_total", times, function="shop.pricing.old_price")
        hub.send("metrics", metrics(resource("shop", instance), *told, by_function))
    hub.send("metrics", metrics(resource("node"), counter("deprecated_function_calls_total", 3, function="old_view")))


def test_processes_are_added_up_and_the_programs_own_lines_come_first(hub: ServedHub) -> None:
    send(hub)
    items = hub.get("deprecations")["items"]
    assert [(one["service"], one["what"], one["calls"], one["own"]) for one in items] == [
        ("shop", "shop.pricing.old_price", 12, True),
        ("shop", "parrot.talk", 1800, False),
        ("node", "old_view", 3, False),
    ]
    assert items[0]["file"] == "/srv/shop/orders.py"
    assert (items[0]["line"], items[0]["function"], items[0]["message"]) == (28, "list_orders", "use gross_price()")
    assert (items[1]["library"], items[1]["version"], items[1]["file"]) == ("parrot-talk", "2.5", None)
    assert items[1]["warned_at"].endswith("client.py:40")
    assert hub.get("deprecations", service="node")["items"][0]["what"] == "old_view"
    page = hub.get("deprecations", limit=1)
    assert hub.get("deprecations", limit=1, cursor=page["next"])["items"][0]["what"] == "parrot.talk"


def test_a_total_that_is_told_again_is_no_call(hub: ServedHub) -> None:
    for ago, increment in ((1200.0, 4), (600.0, 0), (5.0, 0)):
        hub.send("metrics", metrics(resource("shop"), counter(CALLS, increment, ago=ago, **OWN)))
    (found,) = hub.get("deprecations")["items"]
    assert found["calls"] == 4
    assert found["first_seen"] == found["last_seen"] < time.time() - 1000


@pytest.mark.slow
@pytest.mark.parametrize("size", [WIDE, NARROW])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_shows_the_lines_to_change(browser: Browser, hub: ServedHub, size: Any, scheme: str) -> None:
    send(hub)
    with Visit(browser, hub, size, scheme) as visit:
        visit.open("deprecations")
        own, foreign = visit.row("shop.pricing.old_price"), visit.row("parrot.talk")
        assert "use gross_price()" in own[0]
        assert "shop/orders.py:28" in own[1]
        assert "parrot/client.py:40" in foreign[1]
        assert ("in a library" in foreign[1]) is (size == WIDE)
        assert "12" in own
        assert "1,800" in [cell.replace("1.8k", "1,800") for cell in foreign]
        shown = visit.text()
        assert shown.index("old_price") < shown.index("parrot.talk")
        visit.keep(f"deprecations-{size[0]}-{scheme}")
        visit.width_fits()
        visit.accessible()
        visit.check()
        assert visit.page.evaluate("window.broken") is None


APP = """
    import pricing

    def checkout(prices):
        return sum(map(pricing.old_price, prices))

    for _ in range(40):
        checkout([1, 2, 3])
"""
PRICING = """
    from perfagent import deprecated

    @deprecated("use gross_price()")
    def old_price(price):
        return price
"""


def said(run: RunProgram, home: Home, *words: str, cwd: Path, status: int = 0) -> str:
    program = run("perfagent", "deprecations", *words, env=home.env(), cwd=cwd)
    assert program.wait() == status, program.stderr
    return program.stdout + program.stderr


@pytest.mark.slow
def test_a_newcomer_finds_the_line_and_ci_can_hold_the_number(
    run_program: RunProgram, home: Home, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(dedent(APP))
    (tmp_path / "pricing.py").write_text(dedent(PRICING))
    none = said(run_program, home, cwd=tmp_path, status=3)
    assert "no hub runs" in none
    run_program("perfagent", "run", sys.executable, "app.py", env=home.env(), cwd=tmp_path).check()
    deadline = time.monotonic() + 60
    while "old_price" not in (shown := said(run_program, home, cwd=tmp_path)):
        assert time.monotonic() < deadline, shown
        time.sleep(0.2)
    row = next(line for line in shown.splitlines() if "old_price" in line)
    assert re.match(r"app.py:5 +pricing.old_price +120 .* use gross_price\(\)$", row), row
    assert "1 of your own lines, 0 of libraries" in shown

    (known := tmp_path / "known.json").write_text(said(run_program, home, "--output", "json", cwd=tmp_path))
    assert json.loads(known.read_text())["items"][0]["line"] == 5
    said(run_program, home, "--fail-on-new", str(known), "--max", "1", cwd=tmp_path)
    assert "--max allows 0" in said(run_program, home, "--max", "0", cwd=tmp_path, status=1)
    known.write_text('{"items": []}')
    assert "1 of them is new" in said(run_program, home, "--fail-on-new", str(known), cwd=tmp_path, status=1)
    known.write_text("[]")
    assert "is no output of" in said(run_program, home, "--fail-on-new", str(known), cwd=tmp_path, status=2)
    assert "No deprecated call" in said(run_program, home, "--service", "nobody", cwd=tmp_path)


@pytest.mark.slow
def test_a_prefork_servers_workers_are_added_up_on_metrics(
    run_program: RunProgram, receiver: Receiver, free_port: int, tmp_path: Path
) -> None:
    (tmp_path / "served.py").write_text(
        dedent("""
        import os, warnings

        def old():
            warnings.warn("old is deprecated", DeprecationWarning, stacklevel=2)

        old()

        def app(environ, start):
            old()
            start("200 OK", [])
            return [str(os.getpid()).encode()]
        """)
    )
    ports = {"served": free_port, "metrics": 0}
    env = agent_env(
        receiver, OTEL_METRICS_EXPORTER="prometheus", OTEL_EXPORTER_PROMETHEUS_PORT="0", PYTHONWARNINGS="ignore"
    )
    server = run_program(
        "perfagent", "run", "gunicorn", "-w", "2", "--preload", "-b", f"127.0.0.1:{free_port}", "served:app",
        env=env, cwd=tmp_path,
    )  # fmt: skip
    url = f"http://127.0.0.1:{ports['served']}/"
    deadline = time.monotonic() + 60
    asked, workers = 0, set()
    while time.monotonic() < deadline and (len(workers) < 2 or asked < 40):
        try:
            workers.add(urllib.request.urlopen(url, timeout=60).read())
            asked += 1
        except OSError:
            time.sleep(0.1)
    assert len(workers) == 2
    found = re.search(r"http://[\w.]+:(\d+)/metrics|port (\d+)", server.stderr)
    assert found, server.stderr
    page = f"http://127.0.0.1:{found[1] or found[2]}/metrics"
    while True:
        text = urllib.request.urlopen(page, timeout=60).read().decode()
        totals = [
            float(line.rsplit(" ", 1)[1])
            for line in text.splitlines()
            if line.startswith("deprecated_function_calls_total{") and 'function="served.old"' in line
        ]
        if totals == [asked + 1]:
            break
        assert time.monotonic() < deadline + 10, (totals, asked, text[:2000])
        time.sleep(0.3)
    assert 'code_line_number="' in text


@pytest.mark.slow
def test_what_the_page_of_the_docs_shows_works(run_program: RunProgram, home: Home, tmp_path: Path) -> None:
    marked, *more = blocks("docs/how-to/deprecations.md", "python")
    (tmp_path / "pricing.py").write_text(marked)
    (tmp_path / "app.py").write_text(more[0])
    commands = blocks("docs/how-to/deprecations.md", "sh")
    env = {**home.env(), "PERFAGENT_HUB_OPEN": "never"}
    run_program("sh", "-ec", commands[0], env=env, cwd=tmp_path).check()
    deadline = time.monotonic() + 60
    while True:
        shown = run_program("sh", "-ec", commands[1], env=env, cwd=tmp_path)
        assert shown.wait() == 0, shown.stderr
        if "pricing.old_price" in shown.stdout:
            break
        assert time.monotonic() < deadline, shown.stdout
        time.sleep(0.3)
    for command in commands[2:]:
        run_program("sh", "-ec", command, env=env, cwd=tmp_path).check()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_hub_on_prometheus_shows_the_same_lines(run_program: RunProgram, receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(dedent(APP) + "\nimport time\ntime.sleep(90)\n")
    (tmp_path / "pricing.py").write_text(dedent(PRICING))
    for name in ("prometheus", "hub"):
        (tmp_path / name).mkdir()
    with prometheus(tmp_path / "prometheus") as running:
        url = running.addresses["url"]
        sent = f"{url}/api/v1/otlp/v1/metrics"
        env = agent_env(receiver, OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=sent)
        program = run_program("perfagent", "run", sys.executable, "-u", "app.py", env=env, cwd=tmp_path)
        with reading(tmp_path / "hub", PERFAGENT_PROMETHEUS_URL=url) as hub:
            deadline = time.monotonic() + 80
            while not (items := hub.get("deprecations")["items"]) or items[0]["calls"] != 120 or not items[0]["own"]:
                assert time.monotonic() < deadline, (items, program.stderr)
                time.sleep(0.5)
        program.terminate()
    (found,) = items
    assert (found["what"], found["file"], found["line"]) == ("pricing.old_price", str(tmp_path / "app.py"), 5)
    assert (found["function"], found["message"]) == ("checkout", "use gross_price()")

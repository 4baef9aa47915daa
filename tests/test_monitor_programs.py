"""The performance monitor in programs of their own: under the agent, without it, forked, and with a hub."""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

from tests.agent import agent_env

if TYPE_CHECKING:
    from tests.conftest import RunProgram, RunText
    from tests.hub import ServedHub
    from tests.hubs import Home
    from tests.otlp import Receiver

PATIENT = {"PERFAGENT_EXIT_TIMEOUT": "30000"}  # ms; on a busy machine 1,500 may be too few for the last export

PROGRAM = """
    import asyncio
    from perfagent import get_performance_monitor

    monitor = get_performance_monitor()
    for value in (10, 30, 20):
        monitor.record_metric("orders.open", value, "{order}", "business")
    for number in range(20):
        with monitor.measure("checkout", "shop"):
            pass

    @monitor.measure("fetch")
    async def fetch():
        await asyncio.sleep(0.01)

    async def main():
        await asyncio.gather(*[fetch() for _ in range(5)])

    asyncio.run(main())
    for number in range(10):
        monitor.record_processing(0.02, failed=number < 3)
        monitor.record_user_action(error=number == 0, user=number % 4)
    monitor.session_started()
    monitor.set_queue_backlog("mail", 12)
    monitor.record_page_load("/orders", 1.5)
    monitor.record_frame_time(40)
    monitor.record_callback_duration("on_filter", 0.25)
    monitor.record_upload(3_000_000, 1.5)
    """


def test_what_a_program_records_arrives(run_text: RunText, receiver: Receiver) -> None:
    run_text(PROGRAM, **PATIENT)
    orders = receiver.wait_for_metric("orders.open")
    assert (orders.value, orders.unit, orders.type, orders.attributes, orders.scope.name) == (
        20, "{order}", "gauge", {"category": "business"}, "perfagent.monitor",
    )  # fmt: skip
    assert receiver.total("perfagent.block.duration", block="checkout", category="shop").count == 20
    fetch = receiver.total("perfagent.block.duration", block="fetch")
    assert fetch.count == 5
    assert fetch.sum >= 0.05
    assert receiver.total("perfagent.processing.duration", outcome="failed").count == 3
    assert receiver.total("perfagent.processing.duration", outcome="ok").sum == pytest.approx(0.14)
    assert receiver.total("perfagent.user.actions", outcome="error").value == 1
    told = {point.name: (point.value, point.attributes) for point in receiver.points if point.type in ("gauge", "sum")}
    assert told["perfagent.users.active"] == (4, {})
    assert told["perfagent.sessions.active"] == (1, {})
    assert told["perfagent.queue.backlog"] == (12, {"queue": "mail"})
    assert told["perfagent.ui.upload.size"][0] == 3_000_000
    assert receiver.total("perfagent.page.load.duration", page="/orders").sum == 1.5
    assert receiver.total("perfagent.ui.frame.duration").sum == pytest.approx(0.04)
    assert receiver.total("perfagent.ui.callback.duration", callback="on_filter").sum == 0.25
    assert receiver.total("perfagent.ui.upload.speed").sum == 2_000_000


def test_a_block_is_a_span_where_it_asks_and_a_trace_is_current(run_text: RunText, receiver: Receiver) -> None:
    run_text(
        """
        from opentelemetry import trace
        from perfagent import get_performance_monitor

        monitor = get_performance_monitor()
        with monitor.measure("nobody", trace=True):
            pass
        with trace.get_tracer("test").start_as_current_span("request"):
            with monitor.measure("quiet"):
                pass
            with monitor.measure("work", trace=True):
                with trace.get_tracer("test").start_as_current_span("inner"):
                    pass
            try:
                with monitor.measure("broken", trace=True):
                    raise KeyError("gone")
            except KeyError:
                pass
            assert trace.get_current_span().name == "request"
        """,
        **PATIENT,
    )
    spans = {span.name: span for span in receiver.wait_for_spans(4)}
    assert set(spans) == {"request", "work", "inner", "broken"}
    assert (spans["work"].kind, spans["work"].parent_id) == ("INTERNAL", spans["request"].span_id)
    assert spans["inner"].parent_id == spans["work"].span_id
    assert spans["broken"].status.code == "ERROR"
    assert receiver.total("perfagent.block.duration", block="broken", error__type="KeyError").count == 1
    assert receiver.total("perfagent.block.duration", block="quiet").count == 1


def test_caches_and_deprecated_calls_are_counted_even_where_differences_are_sent(
    run_text: RunText, receiver: Receiver
) -> None:
    shown = run_text(
        """
        import functools, json, time
        from perfagent import get_performance_monitor
        from perfagent.runtime import outbox
        from perfagent.runtime.cache import Lookups

        monitor = get_performance_monitor()

        @functools.lru_cache
        def square(number):
            return number * number

        own = Lookups("own")
        for _ in range(3):
            for number in range(10):
                square(number)
            own.record(2, 1)
            outbox.flush(5)
        print(json.dumps(monitor.get_metrics_summary()["cache"]))
        """,
        OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE="delta",
    ).stdout
    found = json.loads(shown)
    assert found["by_system"]["lru_cache"] == {"hits": 20, "misses": 10, "hit_rate": pytest.approx(2 / 3)}
    assert found["by_system"]["own"] == {"hits": 6, "misses": 3, "hit_rate": pytest.approx(2 / 3)}
    assert (found["hits"], found["misses"]) == (26, 13)


def test_deprecated_functions_and_the_librarys_own_caches_are_in_it(run_text: RunText) -> None:
    pytest.importorskip("cachetools")
    shown = run_text(
        """
        import json
        from perfagent import cached, deprecated, get_performance_monitor

        @deprecated("use new")
        def old():
            return 1

        @cached(ttl=60)
        def square(number):
            return number * number

        for number in (1, 2, 1, 1):
            old()
            square(number)
        monitor = get_performance_monitor()
        cache = monitor.get_metrics_summary()["cache"]
        print(json.dumps([monitor.get_deprecation_counts(), cache["hits"], cache["misses"]]))
        """,
        **PATIENT,
    ).stdout
    counts, hits, misses = json.loads(shown.splitlines()[-1])
    assert [(name.rpartition(".")[2], count) for name, count in counts.items()] == [("old", 4)]
    assert (hits, misses) == (2, 2)


def test_an_alert_is_logged_and_counted(run_text: RunText, receiver: Receiver) -> None:
    shown = run_text(
        """
        import threading
        from perfagent import get_performance_monitor

        monitor = get_performance_monitor()
        told = threading.Event()
        monitor.on_alert(lambda alert: (print(alert.text), told.set()))
        monitor.update_threshold("backlog", warning=10, violations=2)
        while not told.wait(0.01):
            monitor.record_metric("backlog", 12)
        """,
        PERFORMANCE_MONITORING_INTERVAL="0.1",
        **PATIENT,
    ).stdout
    assert shown == "backlog is above its limit of 10: 12\n"
    assert receiver.total("perfagent.monitor.alerts", metric="backlog", severity="warning").value == 1
    (log,) = receiver.wait_for_logs(1, where=lambda record: record.scope.name == "perfagent.monitor")
    assert log.body == "backlog is above its limit of 10: 12"


FORKED = """
    import json, os, sys, time, warnings
    warnings.simplefilter("error")
    from perfagent import get_performance_monitor

    monitor = get_performance_monitor()
    seen = []
    monitor.subscribe(lambda summary: seen.append((os.getpid(), summary)), interval_seconds=0.05)
    monitor.record_metric("parent", 1)
    monitor.record_metric("both", 100)
    monitor.session_started()
    monitor.record_user_action(user="somebody")
    while not seen:
        time.sleep(0.01)
    read, write = os.pipe()
    child = os.fork()
    if not child:
        seen.clear()
        for _ in range(5):
            monitor.record_metric("both", 7)
        deadline = time.monotonic() + 60
        while not (seen and seen[-1][1]["metrics"].get("both", {}).get("count") == 5) and time.monotonic() < deadline:
            time.sleep(0.01)
        pid, summary = seen[-1]
        told = {
            "own": pid == os.getpid(), "metrics": {name: one["count"] for name, one in summary["metrics"].items()},
            "users": monitor.active_users, "sessions": monitor.active_sessions,
        }
        os.write(write, json.dumps(told).encode())
        if len(sys.argv) > 1:
            sys.exit()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    count = len(seen)
    while len(seen) < count + 2:
        time.sleep(0.01)
    assert monitor.active_sessions == 1
    os.write(1, os.read(read, 10_000))
    """


@pytest.mark.parametrize("bare", [True, False], ids=["without an agent", "under the agent"])
def test_a_forked_child_has_a_window_and_a_thread_of_its_own(bare: bool, run_text: RunText) -> None:
    # Python 3.13 without an agent counts the thread that is back already when it looks for threads to warn about.
    text = (
        FORKED if not bare or sys.version_info < (3, 12) else FORKED.replace('simplefilter("error")', "warn_explicit")
    )
    found = json.loads(run_text(text, bare=bare).stdout)
    assert found["metrics"]["both"] == 5
    assert "parent" not in found["metrics"]
    assert (found["own"], found["users"], found["sessions"]) == (True, 0, 0)


def test_a_childs_own_values_arrive_beside_its_parents(run_text: RunText, receiver: Receiver) -> None:
    run_text(
        """
        import os
        from perfagent import get_performance_monitor

        monitor = get_performance_monitor()
        for _ in range(3):
            monitor.record_processing(1)
        monitor.session_started()
        if not os.fork():
            for _ in range(5):
                monitor.record_processing(1)
        else:
            os.wait()
        """,
        **PATIENT,
    )
    assert receiver.total("perfagent.processing.duration", outcome="ok").count == 8
    assert receiver.total("perfagent.sessions.active").value == 1


def test_an_exit_does_not_wait_for_a_subscriber(run_program: RunProgram, tmp_path: Path) -> None:
    (tmp_path / "prog.py").write_text(
        dedent(
            """
            import sys, threading, time
            from perfagent import get_performance_monitor

            called = threading.Event()

            def slow(summary):
                called.set()
                time.sleep(600)

            get_performance_monitor().subscribe(slow, interval_seconds=0.05)
            get_performance_monitor().update_threshold("x", warning=1)
            assert called.wait(20)
            print("bye", threading.active_count())
            """
        )
    )
    program = run_program(sys.executable, str(tmp_path / "prog.py"))
    assert program.check().startswith("bye")  # it waits 30 s at most


@pytest.mark.slow
def test_gunicorns_workers_each_keep_a_window_and_their_sum_arrives(
    run_program: RunProgram, receiver: Receiver, free_port: int, tmp_path: Path
) -> None:
    (tmp_path / "shop.py").write_text(
        dedent(
            """
            import json, os
            from perfagent import get_performance_monitor

            monitor = get_performance_monitor()
            monitor.record_metric("loaded", 1)
            told = []
            monitor.subscribe(told.append, interval_seconds=0.1)

            def app(environ, start_response):
                with monitor.measure("request"):
                    metrics = monitor.get_metrics_summary()["metrics"]
                start_response("200 OK", [("Content-Type", "application/json")])
                count = metrics.get("request", {}).get("count", 0)
                return [json.dumps([os.getpid(), count, "loaded" in metrics, len(told)]).encode()]
            """
        )
    )
    command = ("gunicorn", "-w", "2", "--preload", "-b", f"127.0.0.1:{free_port}", "--no-control-socket", "shop:app")
    program = run_program("perfagent", "run", *command, env=agent_env(receiver, **PATIENT), cwd=tmp_path)
    program.wait_for_port(free_port)
    served: dict[int, list[int]] = {}
    asked, told = 0, 0

    def enough() -> bool:
        nonlocal asked, told
        with urllib.request.urlopen(f"http://127.0.0.1:{free_port}/") as answer:
            pid, count, inherited, snapshots = json.load(answer)
        asked += 1
        assert not inherited
        served.setdefault(pid, []).append(count)
        told = max(told, snapshots)
        return len(served) == 2 and asked >= 40 and told >= 2

    program.wait_until(enough, "did not serve")
    for counts in served.values():
        assert counts == list(range(len(counts)))
    program.terminate()
    assert receiver.total("perfagent.block.duration", block="request").count == asked


@pytest.mark.slow
def test_a_hub_shows_what_a_program_recorded(hub: ServedHub, run_program: RunProgram, tmp_path: Path) -> None:
    (tmp_path / "prog.py").write_text(dedent(PROGRAM))
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": hub.url, "OTEL_SERVICE_NAME": "shop", "PERFAGENT_STRICT": "true", **PATIENT}
    run_program("perfagent", "run", sys.executable, str(tmp_path / "prog.py"), env=env).check()

    def asked(name: str, **params: Any) -> Any:
        deadline = time.monotonic() + 60
        while True:
            response = hub.ask("metrics/query", params={"name": name, "service": "shop", **params})
            if response.status_code == 200 or time.monotonic() > deadline:
                assert response.status_code == 200, response.text
                return response.json()["data"]
            time.sleep(0.1)

    def values(answer: Any) -> list[float]:
        return [value for series in answer["series"] for value in series["values"] if value is not None]

    assert values(asked("orders.open", stat="last")) == [20]
    assert sum(values(asked("perfagent.block.duration", stat="count", attribute="block=checkout"))) == 20
    assert sum(values(asked("perfagent.processing.duration", stat="count", attribute="outcome=failed"))) == 3
    names = {one["name"] for one in hub.get("metrics", limit=500)["items"]}
    assert {"perfagent.queue.backlog", "perfagent.page.load.duration", "perfagent.users.active"} <= names


@pytest.mark.slow
def test_thresholds_go_to_the_hub_when_the_program_says_so(home: Home, run_program: RunProgram, tmp_path: Path) -> None:
    (tmp_path / "prog.py").write_text(
        dedent(
            """
            from perfagent import get_performance_monitor

            monitor = get_performance_monitor()
            monitor.update_threshold("error_rate_percent", warning=2, critical=4, violations=1)
            monitor.update_threshold("my.own", warning=2)
            print("error_rate_percent" in monitor.send_thresholds_to_hub(timeout=30))
            print("my.own" in monitor.send_thresholds_to_hub(timeout=30))
            """
        )
    )
    program = run_program("perfagent", "run", sys.executable, str(tmp_path / "prog.py"), env=home.env(**PATIENT))
    assert program.check(60) == "True\nFalse\n"
    found = {one["name"]: one for one in home.get("thresholds", timeout=30)["items"]}
    assert (found["error_rate_percent"]["warning"], found["error_rate_percent"]["violations"]) == (2, 1)
    assert found["disk_usage_percent"]["changed"] is False


def test_a_hub_that_is_not_there_or_refuses_is_told(run_program: RunProgram, hub: ServedHub, tmp_path: Path) -> None:
    code = "from perfagent import get_performance_monitor as m; m().send_thresholds_to_hub()"
    env = {"PERFAGENT_HUB_DIR": str(tmp_path / "none")}
    none = run_program(sys.executable, "-c", code, env=env)
    assert none.wait() == 1
    assert "RuntimeError: no hub runs" in none.stderr
    env |= {"PERFAGENT_HUB_URL": hub.url, "PERFAGENT_HUB_TOKEN": hub.access.token("viewer")}
    refused = run_program(sys.executable, "-c", code, env=env)
    assert refused.wait() == 1
    assert "refused the thresholds (403)" in refused.stderr
    assert "PERFAGENT_HUB_TOKEN" in refused.stderr
    env["PERFAGENT_HUB_TOKEN"] = hub.access.token("admin")
    assert run_program(sys.executable, "-c", code, env=env).wait() == 0


def test_metrics_shows_it_by_prometheus_names(run_program: RunProgram, free_port: int, tmp_path: Path) -> None:
    text = dedent(PROGRAM) + dedent(
        f"""
        import urllib.request

        with urllib.request.urlopen("http://localhost:{free_port}/metrics") as answer:
            print(answer.read().decode())
        """
    )
    (tmp_path / "prog.py").write_text(text)
    env = {"OTEL_METRICS_EXPORTER": "prometheus", "OTEL_EXPORTER_PROMETHEUS_PORT": str(free_port)}
    shown = run_program("perfagent", "run", sys.executable, str(tmp_path / "prog.py"), env=env).check()
    values = {
        line.partition("{")[0]: float(line.rpartition(" ")[2])
        for line in shown.splitlines()
        if 'block="checkout"' in line or ("{" in line and "block=" not in line and "_bucket" not in line)
    }
    assert values["perfagent_block_duration_seconds_count"] == 20
    assert values["orders_open"] == 20
    assert values["perfagent_users_active"] == 4
    assert values["perfagent_sessions_active"] == 1
    assert values["perfagent_queue_backlog"] == 12
    assert values["perfagent_ui_upload_size_bytes_total"] == 3_000_000


@pytest.mark.slow
def test_it_works_below_the_stock_sdk(run_program: RunProgram, receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "prog.py").write_text(dedent(PROGRAM))
    env = agent_env(receiver, PERFAGENT_PIPELINE="sdk", **PATIENT)
    run_program("perfagent", "run", sys.executable, str(tmp_path / "prog.py"), env=env).check(60)
    assert receiver.wait_for_metric("orders.open").value == 20
    assert receiver.total("perfagent.block.duration", block="checkout").count == 20

"""Sources in a whole hub: declared, collected, stored, and told how they are."""

from __future__ import annotations

import http.server
import json
import os
import re
import sys
import textwrap
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from perfagent.hub.sources import addresses, declarations, exposed, itself, kinds
from perfagent.hub.sources.custom import collected
from perfagent.hub.sources.load import Gauge, Load
from perfagent.hub.sources.machine import Machine
from perfagent.hub.sources.seen import Blocked, PoolUse, Probe, facts
from perfagent.hub.sources.source import Plan, SourceError
from perfagent.hub.sources.state import LONGEST_PAUSE, State
from tests.hub import ServedHub, resource, span, traces
from tests.servers import PASSWORD
from tests.test_docs import blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.hub import ServeHub

pytest_plugins = ["tests.hub", "tests.servers"]
DEADLINE = 60.0
PAGE = "docs/how-to/sources.md"


def until(found: Callable[[], Any]) -> Any:
    """What a look finds, once it finds something."""
    deadline = time.monotonic() + DEADLINE
    while not (seen := found()):
        assert time.monotonic() < deadline, f"still {seen!r} after {DEADLINE:g} s"
        time.sleep(0.05)
    return seen


def often(tmp_path: Path, *fast: str) -> None:
    """Has built-in sources collect each second in the first hub of a test."""
    declared(tmp_path, "".join(f'[[source]]\nname = "{kind}"\nkind = "{kind}"\ninterval = 1\n' for kind in fast))


def collecting(serve_hub: ServeHub, **environ: str) -> ServedHub:
    """A hub whose sources run, however loaded the machine of the tests is."""
    return serve_hub(collects=True, **{"ENABLE_ADAPTIVE_INTERVALS": "false", **environ})


def declared(tmp_path: Path, text: str) -> None:
    """Writes the settings file of the first hub of a test."""
    folder = tmp_path / "hub0"
    folder.mkdir(exist_ok=True)
    (folder / "perfagent.toml").write_text(textwrap.dedent(text))


def source(hub: ServedHub, name: str) -> dict[str, Any]:
    return next((one for one in hub.get("sources")["items"] if one["name"] == name), {})


def names(hub: ServedHub, service: str) -> set[str]:
    return {one["name"] for one in hub.get("metrics", service=service, limit=500)["items"]}


@contextmanager
def answering(status: int = 200, body: bytes = b"{}", wait: float = 0.0) -> Iterator[str]:
    """The address of a server that answers everything alike."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(wait)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_machine_is_measured_by_default_and_is_no_program(serve_hub: ServeHub, tmp_path: Path) -> None:
    often(tmp_path, "system")
    hub = collecting(serve_hub)
    until(lambda: source(hub, "system").get("collections", 0) >= 2)
    until(lambda: {"system.cpu.utilization", "system.memory.usage"} <= names(hub, "system"))
    known = names(hub, "system")
    assert {"system.cpu.load_average.1m", "system.cpu.load_average.15m", "system.filesystem.utilization"} <= known
    readings = hub.get("metrics/query", name="system.memory.utilization", service="system", stat="last")
    last = [value for value in readings["series"][0]["values"] if value is not None][-1]
    total, available = memory()
    assert last == pytest.approx(1 - available / total, abs=0.1)
    assert hub.get("services")["items"] == []
    assert hub.get("processes")["items"] == []
    one = source(hub, "system")
    assert (one["health"], one["priority"], one["kind"]) == ("healthy", "critical", "system")
    assert one["interval_seconds"] == 1
    assert hub.hub.intake.stored().last is None, "what the hub makes itself keeps no idle hub alive"


def memory() -> tuple[int, int]:
    with open("/proc/meminfo") as file:
        figures = {line.split(":")[0]: int(line.split()[1]) for line in file}
    return figures["MemTotal"], figures["MemAvailable"]


def test_the_machine_can_be_left_alone(serve_hub: ServeHub, tmp_path: Path) -> None:
    often(tmp_path, "application")
    hub = collecting(serve_hub, PERFAGENT_SOURCE_SYSTEM="false")
    until(lambda: source(hub, "application").get("collections"))
    assert source(hub, "system") == {}


def test_a_database_is_declared_in_one_line_and_its_locks_are_told_and_kept(
    serve_hub: ServeHub, postgres_url: str, tmp_path: Path
) -> None:
    import psycopg

    declared(
        tmp_path,
        f'[[source]]\nname = "shop-db"\nurl = "{postgres_url.replace(PASSWORD, "${SHOP_PASSWORD}")}"\ninterval = 1',
    )
    hub = collecting(serve_hub, SHOP_PASSWORD=PASSWORD)
    with psycopg.connect(postgres_url) as holder, psycopg.connect(postgres_url) as waiter:
        holder.execute("CREATE TABLE locked (id int)")
        holder.commit()
        holder.execute("LOCK TABLE locked")
        waiting = threading.Thread(target=waiter.execute, args=("SELECT count(*) FROM locked",))
        waiting.start()
        seen = until(lambda: facts(hub.hub, Blocked))
        assert (seen[0].blocker, seen[0].blocked) == (holder.info.backend_pid, waiter.info.backend_pid)
        told = {one["kind"]: one["items"] for one in hub.get("sources/shop-db")["seen"]}
        assert told["Blocked"][0]["statement"] == "SELECT count(*) FROM locked"
        assert told["PoolUse"][0]["limit"] == facts(hub.hub, PoolUse)[0].limit == 100
        until(lambda: any(one["kind"] == "Blocked" and one["found"] for one in history(hub)))
        holder.rollback()
        waiting.join(DEADLINE)
        waiter.rollback()
        moment = time.time()
        until(lambda: not facts(hub.hub, Blocked))
        until(
            lambda: (
                history(hub)[-1]["time"] > moment - 1
                and not [one for one in history(hub) if one["kind"] == "Blocked"][-1]["found"]
            )
        )
        holder.execute("DROP TABLE locked")
        holder.commit()
    answer = hub.ask("sources/shop-db").text + hub.ask("sources").text
    assert PASSWORD not in answer
    assert source(hub, "shop-db")["instance"].startswith("postgresql://tester@127.0.0.1")
    assert {"postgresql.backends", "postgresql.connection.max"} <= names(hub, "shop-db")
    attributes = hub.get("sources/shop-db")["attributes"]
    assert attributes["db.system.name"] == "postgresql"


def history(hub: ServedHub) -> list[dict[str, Any]]:
    return hub.get("sources/shop-db")["history"]  # type: ignore[no-any-return]


def test_the_example_of_the_documentation_is_a_source(serve_hub: ServeHub, tmp_path: Path) -> None:
    (program,) = blocks(PAGE, "python")
    (tmp_path / "hub0").mkdir()
    (tmp_path / "hub0" / "uploads.py").write_text(program)
    declared(tmp_path, blocks(PAGE, "toml")[1])
    hub = collecting(serve_hub)
    until(lambda: {"uploads.room.free", "uploads.queue", "uploads.failed"} <= names(hub, "uploads"))
    assert hub.get("metrics/summary", service="uploads")["metrics"]["uploads.queue"]["current"] == 3


@pytest.mark.parametrize("number", range(3))
def test_every_declaration_of_the_documentation_is_accepted(number: int) -> None:
    import tomllib

    environ = {"SHOP_DB_PASSWORD": "x", "LICENCES_TOKEN": "x"}
    for table in tomllib.loads(blocks(PAGE, "toml")[number])["source"]:
        plan = declarations.plan_of(table, "PERFAGENT_SOURCES", None, environ)
        assert plan.kind in kinds.KINDS
        assert plan.name == table.get("name", plan.name)


def test_a_command_and_an_address_that_answer_json_are_sources(serve_hub: ServeHub, tmp_path: Path) -> None:
    with answering(body=b'{"licences": {"used": 7, "limit": 10}, "name": "no figure"}') as url:
        words = json.dumps([sys.executable, "-c", 'print(\'{"queue.age": 12.5, "queue.done": 100}\')'])
        declared(
            tmp_path,
            f"""
            [[source]]
            name = "queue"
            command = {words}
            interval = 1
            units = {{ "queue.age" = "s" }}
            counters = ["queue.done"]
            [[source]]
            kind = "json"
            name = "licences"
            url = "{url}/figures?token=verysecret"
            interval = 1
            """,
        )
        hub = collecting(serve_hub)
        until(lambda: {"queue.age", "queue.done"} <= names(hub, "queue"))
        until(lambda: {"licences.used", "licences.limit"} <= names(hub, "licences"))
        metrics = {one["name"]: one for one in hub.get("metrics", service="queue")["items"]}
        assert (metrics["queue.age"]["kind"], metrics["queue.age"]["unit"]) == ("gauge", "s")
        assert metrics["queue.done"]["kind"] == "counter"
        until(lambda: source(hub, "licences")["health"] == "degraded")
        assert "name='no figure' is left out" in source(hub, "licences")["detail"]
        assert "verysecret" not in hub.ask("sources").text


@pytest.mark.slow
def test_an_address_that_fails_is_told_with_its_status(serve_hub: ServeHub, tmp_path: Path) -> None:
    with answering(503, b"sorry") as url:
        declared(tmp_path, f'[[source]]\nname = "checkout"\nurl = "{url}/health"\ninterval = 1')
        hub = collecting(serve_hub)
        (probe,) = until(lambda: facts(hub.hub, Probe))
        assert (probe.ok, probe.status, probe.bytes) == (False, 503, 5)
        until(lambda: source(hub, "checkout")["health"] == "degraded")
        assert "it answered 503, expected was 200 to 399" in source(hub, "checkout")["detail"]
        until(lambda: "httpcheck.status" in names(hub, "checkout"))
    until(lambda: facts(hub.hub, Probe) and facts(hub.hub, Probe)[0].status is None)
    assert "no answer" in facts(hub.hub, Probe)[0].problem


@pytest.mark.slow
def test_a_source_that_hangs_fails_by_itself_and_the_others_go_on(
    serve_hub: ServeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hanging.py").write_text(
        "import threading\nfree = threading.Event()\ncalls = []\n"
        "def collect():\n    calls.append(1)\n    free.wait(60)\n    return {'a': 1}\n"
        "def broken():\n    raise ValueError('of its own')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    declared(
        tmp_path,
        """
        [[source]]
        name = "hanging"
        kind = "python"
        call = "hanging:collect"
        interval = 1
        timeout = 0.3
        [[source]]
        name = "broken"
        kind = "python"
        call = "hanging:broken"
        interval = 1
        [[source]]
        name = "missing"
        kind = "python"
        call = "not_there:collect"
        """,
    )
    hub = collecting(serve_hub, PERFORMANCE_MONITORING_INTERVAL="3")
    until(lambda: source(hub, "hanging").get("health") == "failing")
    assert "no answer within 0.3 s" in source(hub, "hanging")["detail"]
    assert "ValueError: of its own" in until(lambda: source(hub, "broken").get("detail"))
    assert "not_there" in until(lambda: source(hub, "missing").get("detail"))
    until(lambda: source(hub, "system").get("collections", 0) >= 2)
    import hanging

    assert len(hanging.calls) == 1, "one thread hangs, not one more each second"
    hanging.free.set()
    until(lambda: source(hub, "hanging")["health"] == "healthy")


def test_a_missing_driver_turns_its_source_off_with_the_line_that_installs_it(
    serve_hub: ServeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pymysql", None)
    declared(tmp_path, '[[source]]\nurl = "mysql://monitor@db/shop"')
    hub = collecting(serve_hub)
    until(lambda: source(hub, "mysql-db").get("health") == "off")
    one = source(hub, "mysql-db")
    assert 'pip install "PyMySQL"' in one["detail"]
    assert one["collections"] == 1


@pytest.mark.slow
def test_declarations_that_are_wrong_are_told_and_the_others_serve(serve_hub: ServeHub, tmp_path: Path) -> None:
    declared(
        tmp_path,
        """
        [[source]]
        kind = "postgre"
        url = "postgresql://db"
        [[source]]
        name = "sessions"
        url = "redsi://:secret@cache"
        [[source]]
        url = "redis://cache"
        priority = "urgent"
        [[source]]
        url = "redis://:${NOT_SET}@cache"
        [[source]]
        url = "redis://cache"
        intervall = 3
        [[source]]
        url = "redis://cache"
        interval = 0
        [[source]]
        name = "cache"
        kind = "cache"
        enabled = false
        """,
    )
    hub = collecting(serve_hub)
    problems = until(lambda: hub.get("sources")["problems"])
    for told in (
        "[[source]] postgresql://db: kind='postgre' is none of",
        "[[source]] sessions: url='redsi://cache' tells no kind",
        "priority='urgent' is none of",
        "${NOT_SET} has no value",
        "intervall='3'",
        "interval=0",
    ):
        assert any(told in problem for problem in problems), (told, problems)
    until(lambda: source(hub, "system").get("collections"))
    assert source(hub, "cache") == {}
    declared(tmp_path, '[[source]]\nname = "checkout"\nurl = "http://127.0.0.1:9/"')
    until(lambda: source(hub, "checkout"))
    assert until(lambda: hub.get("sources")["problems"] == []), "a file that changed is read again"


def test_a_file_that_others_may_write_may_not_run_anything(tmp_path: Path) -> None:
    path = tmp_path / "perfagent.toml"
    path.write_text("")
    table = {"name": "queue", "command": ["true"]}
    assert declarations.plan_of(table, str(path), None, {}).kind == "command"
    os.chmod(path, 0o666)
    with pytest.raises(declarations.Rejected, match="chmod o-w"):
        declarations.plan_of(table, str(path), None, {})


def test_programs_endpoints_and_caches_are_sources_and_counted(serve_hub: ServeHub, tmp_path: Path) -> None:
    often(tmp_path, "api")
    hub = collecting(serve_hub)
    who = resource("shop", telemetry__distro__name="perfagent")
    spans = [span(i + 1, "GET /items", ms=20, ago=2, status=500 if i == 0 else 200) for i in range(20)]
    hub.send("traces", traces(who, *spans))
    until(lambda: [one for one in hub.get("sources/api")["seen"] if one["kind"] == "EndpointUse"])
    (endpoint,) = hub.get("sources/api", kind="EndpointUse")["seen"][0]["items"]
    assert (endpoint["service"], endpoint["endpoint"], endpoint["requests"]) == ("shop", "GET /items", 20)
    assert endpoint["codes"] == {"200": 19, "500": 1}
    assert endpoint["p95_ms"] == pytest.approx(20, rel=0.1)
    totals = hub.get("sources")["totals"]
    assert totals["by_kind"]["agent"] == 1
    assert totals["by_kind"]["system"] == 1
    assert sum(totals["by_health"].values()) == sum(totals["by_kind"].values())
    assert hub.refusal("sources/nobody") == (404, "not_found", "name")


@pytest.mark.slow
def test_the_zone_turns_sources_off_and_on_again(
    serve_hub: ServeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = [0.1]
    monkeypatch.setattr(Gauge, "read", lambda _: Load(used[0], 0.0, None, None))
    often(tmp_path, "system", "application")
    hub = collecting(serve_hub, ENABLE_ADAPTIVE_INTERVALS="true")
    until(lambda: source(hub, "application").get("collections"))
    ladder = hub.hub.sources._ladder
    used[0] = ladder.share = 0.8  # the smoothing would take half a minute
    until(lambda: hub.get("sources")["zone"]["name"] == "orange")
    assert hub.hub.zone == "orange"
    until(lambda: source(hub, "application")["health"] == "off")
    assert "off while the machine's zone is orange" in source(hub, "application")["detail"]
    before = hub.hub.sources.compressor.stored
    until(lambda: hub.hub.sources.compressor.stored > before)
    assert hub.hub.sources.compressor.readings > hub.hub.sources.compressor.stored
    assert source(hub, "system")["health"] == "healthy"
    assert "perfagent_hub_zone 2.0" in hub.client.get("/metrics", headers=hub.bearer("viewer")).text
    used[0] = ladder.share = 0.1
    ladder.since -= 100  # it has lasted long
    until(lambda: hub.hub.zone in ("yellow", "green"))
    until(lambda: source(hub, "application")["health"] == "healthy")


@pytest.mark.slow
def test_the_hub_tells_of_itself_on_its_metrics_and_as_a_service(serve_hub: ServeHub, tmp_path: Path) -> None:
    often(tmp_path, "hub", "system")
    hub = collecting(serve_hub)
    hub.send("traces", traces(resource("shop"), *[span(i + 1, ms=20, ago=90) for i in range(40)]))
    until(lambda: set(itself.METRICS) - names(hub, "hub") <= {"perfagent.hub.insights", "perfagent.hub.optimisations"})
    until(lambda: source(hub, "hub").get("health") == "healthy")
    page = hub.client.get("/metrics", headers=hub.bearer("viewer")).text
    assert re.search(r'^perfagent_hub_items_total{signal="spans"} 40.0$', page, re.MULTILINE)
    assert re.search(r'^perfagent_hub_source_collections_total{outcome="ok",source="system"} [1-9]', page, re.MULTILINE)
    assert re.search(r"^perfagent_hub_batch_size [1-9]", page, re.MULTILINE)
    assert re.search(r"^perfagent_hub_commit_time_total [0-9.]*[1-9]", page, re.MULTILINE)
    assert "perfagent_hub_health_score " in page
    about = hub.get("hub")
    assert about["programs"] == 1, "the hub's own sources are no programs"
    assert about["zone"] == hub.hub.zone


def test_points_of_sources_are_on_the_metrics_of_a_hub_that_stores_none(serve_hub: ServeHub, tmp_path: Path) -> None:
    often(tmp_path, "system")
    hub = collecting(serve_hub)
    until(lambda: source(hub, "system").get("collections", 0) >= 2)
    found = {metric.name: metric for metric in exposed.families(hub.hub)}
    assert found["system_cpu_time_seconds"].type == "counter"
    sample = found["system_memory_usage_bytes"].samples[0]
    assert sample.labels["service_name"] == "system"
    assert "system_memory_state" in sample.labels


def test_a_source_that_fails_is_asked_less_and_less_often() -> None:
    state = State(Plan("db", "redis", "high", 15, 10, "redis://x"), 0.0)
    pauses = []
    for number in range(12):
        news = state.failed(number, 0.1, "away")
        assert news == (number == 0), "the same failure is told once"
        pauses.append(state.pause())
    assert pauses[:4] == [15, 30, 60, 120]
    assert pauses[-1] == LONGEST_PAUSE
    assert state.health(12) == "failing"
    state.succeeded(13, 0.1)
    assert (state.pause(), state.health(14)) == (15, "healthy")
    assert state.health(500) == "silent"
    state.factor = 20
    assert state.health(500) == "healthy", "what the hub asks less often is not silent"


def test_addresses_show_no_secret() -> None:
    address = "postgresql://monitor:p%40ss-word@db:5432/shop?sslpassword=hidden-one"
    assert addresses.shown(address) == "postgresql://monitor@db:5432/shop"
    text = addresses.without(f"no {address} and no p@ss-word, p%40ss-word or hidden-one", addresses.secrets(address))
    assert text == "no … and no …, … or …"
    assert "hidden" not in addresses.shown("host=db password='hidden one' user=x")


def test_what_a_function_tells_is_taken_or_refused_with_a_reason() -> None:
    found = collected({"a": {"b": 1, "c": True}, "bad name": 1, "text": "x", "inf": float("inf")}, {}, ())
    assert {(point.name, point.value) for point in found.points} == {("a.b", 1.0), ("a.c", 1.0)}
    assert len(found.notes) == 3
    with pytest.raises(SourceError, match="a dict of figures"):
        collected(42, {}, ())


def test_disks_network_and_swap_are_read_as_the_kernel_tells_them(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text("cpu  1000 0 500 8000 100 0 0 0 0 0\nbtime 1700000000\n")
    (tmp_path / "meminfo").write_text(
        "MemTotal: 1000 kB\nMemFree: 200 kB\nMemAvailable: 600 kB\nSwapTotal: 100 kB\nSwapFree: 75 kB\n"
    )
    (tmp_path / "diskstats").write_text(
        "   8  0 sda 10 0 2000 30 20 0 4000 50 0 70 80 0 0 0 0\n   7  0 loop0 1 0 1 1 1 0 1 1 0 1 1 0 0 0 0\n"
    )
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "dev").write_text(
        "head\nhead\n  eth0: 100 2 3 4 0 0 0 0 200 5 6 7 0 0 0 0\n    lo: 9 9 0 0 0 0 0 0 9 9 0 0 0 0 0 0\n"
    )
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "mounts").write_text(f"/dev/sda1 {tmp_path} ext4 rw 0 0\nnone /proc proc rw 0 0\n")
    found = Machine(Plan("system", "system", "critical", 15, 10), None, str(tmp_path)).collect()
    told = {(p.name, *sorted(dict(p.attributes).values())): p.value for p in found.points}
    assert told["system.disk.io", "read", "sda"] == 2000 * 512
    assert told["system.disk.io", "sda", "write"] == 4000 * 512
    assert told["system.network.io", "eth0", "receive"] == 100
    assert told["system.network.errors", "eth0", "transmit"] == 6
    assert told["system.paging.usage", "used"] == 25 * 1024
    assert told["system.memory.utilization", "used"] == pytest.approx(0.4)
    assert not any("loop0" in key or "lo" in key for key in told)
    assert any(key[0] == "system.filesystem.utilization" for key in told)

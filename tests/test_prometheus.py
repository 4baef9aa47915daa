"""/metrics: what Prometheus' own parsers read there is what happened, in however many processes it happened."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.agent import agent_env
from tests.patience import PATIENCE
from tests.program import find_free_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client import Metric
    from prometheus_client.samples import Sample

    from tests.conftest import RunProgram
    from tests.otlp import Receiver
    from tests.program import Program

pytestmark = pytest.mark.slow  # real waits and programs: left out of the fast part

ROOT = Path(__file__).parent.parent
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
REQUESTS = "http_server_request_duration_seconds_count"
QUERIES = "db_client_operation_duration_seconds_count"
QUERY = "import os, sqlite3, sys, time\ncursor = sqlite3.connect(':memory:', check_same_thread=False).cursor()\n"


class Exposition:
    """The port of one program, and what is read there."""

    def __init__(self, directory: Path) -> None:
        self.port = find_free_port()
        self.directory = directory

    def env(self, **more: str) -> dict[str, str]:
        return {
            "OTEL_METRICS_EXPORTER": "prometheus",
            "OTEL_EXPORTER_PROMETHEUS_PORT": str(self.port),
            "OTEL_SERVICE_NAME": "tested",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "PERFAGENT_STRICT": "true",
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(self.directory),
            **more,
        }

    def get(self, path: str = "/metrics", method: str = "GET", **headers: str) -> tuple[Any, bytes]:
        """The headers and the content; raises OSError where there is no answer."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method, headers=named)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.headers, answer.read()

    def families(self) -> dict[str, Metric]:
        found = {}
        for family in parse_text(self.get()[1].decode()):
            assert family.name not in found
            found[family.name] = family
        return found

    def samples(self, name: str, **labels: str) -> list[tuple[dict[str, str], float]]:
        return [
            (sample.labels, sample.value)
            for family in self.families().values()
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]

    def total(self, name: str, **labels: str) -> float:
        return sum(value for _, value in self.samples(name, **labels))

    def wait_until(self, condition: Callable[[], bool], timeout: float = PATIENCE) -> None:
        """Returns when it holds; until then there may be nobody to ask."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                if condition():
                    return
            except OSError:
                pass
            if time.monotonic() > deadline:
                assert condition()
                return
            time.sleep(0.05)

    def files(self) -> list[Path]:
        return [path for path in self.directory.rglob("*") if path.is_file()]


@pytest.fixture
def exposition(tmp_path: Path) -> Exposition:
    return Exposition(tmp_path)


def get(port: int, path: str = "/pid") -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
        return int(answer.read())


def read_openmetrics(exposition: Exposition) -> dict[str, Metric]:
    headers, content = exposition.get(Accept=OPENMETRICS)
    assert headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    return {family.name: family for family in parse_openmetrics(content.decode())}


def test_requests_are_read_by_the_text_and_the_openmetrics_parser_with_their_exemplars(
    run_program: RunProgram, receiver: Receiver, exposition: Exposition, free_port: int
) -> None:
    env = {**agent_env(receiver), **exposition.env()}
    program = run_program("perfagent", "run", "uvicorn", "tests.apps.prefork:asgi", "--port", str(free_port), env=env)
    program.wait_for_port(free_port)
    for _ in range(7):
        get(free_port)
    exposition.wait_until(lambda: exposition.total(REQUESTS) == 7)
    family = exposition.families()["http_server_request_duration_seconds"]
    assert family.type == "histogram"
    assert family.documentation == "Duration of HTTP server requests."
    buckets = [sample.value for sample in family.samples if sample.name.endswith("_bucket")]
    assert buckets == sorted(buckets)
    assert len(buckets) == 15
    assert family.samples[0].labels == {
        "http_request_method": "GET",
        "http_response_status_code": "200",
        "http_route": "/pid",
        "network_protocol_version": "1.1",
        "url_scheme": "http",
        "otel_scope_name": "perfagent.http",
        "otel_scope_schema_url": "https://opentelemetry.io/schemas/1.44.0",
        "le": "0.005",
    }
    [(target, _)] = exposition.samples("target_info")
    assert target["service_name"] == "tested"
    assert target["process_pid"] == str(program.pid)

    spans = {(span.trace_id, span.span_id): span for span in receiver.wait_for_spans(7)}
    same = read_openmetrics(exposition)["http_server_request_duration_seconds"]
    assert same.unit == "seconds"
    exemplars = [sample.exemplar for sample in same.samples if sample.exemplar]
    assert exemplars
    for exemplar in exemplars:
        span = spans[exemplar.labels["trace_id"], exemplar.labels["span_id"]]
        assert exemplar.value == pytest.approx(span.seconds)
        assert float(exemplar.timestamp) == pytest.approx(span.end / 1e9, abs=0.01)
    assert receiver.points == []  # metrics were asked for by /metrics alone


def test_names_types_and_labels_are_those_of_the_sdks_exporter(exposition: Exposition, run_program: RunProgram) -> None:
    code = """
import sys, time
from opentelemetry import metrics
if sys.argv[1:]:
    from opentelemetry.exporter.prometheus import PrometheusMetricReader
    from opentelemetry.sdk.metrics import MeterProvider
    from prometheus_client import CollectorRegistry, generate_latest
    registry = CollectorRegistry()
    metrics.set_meter_provider(MeterProvider([PrometheusMetricReader(registry=registry)]))
meter = metrics.get_meter('shop', '1.2', schema_url='https://example.com/1', attributes={'team': 'blue'})
meter.create_counter('orders', '{order}', 'Orders.').add(3, {'payment.method': 'card', 'big': True, 'lines': 4})
meter.create_counter('orders.paid.total', 'EUR', 'Paid.').add(2.5, {'tags': ['a', 'b'], 'Größe': 'x"y\\\\z'})
meter.create_up_down_counter('carts.open').add(4)
meter.create_gauge('room.temperature', 'Cel', 'How warm.').set(21.5, {'room': ''})
meter.create_gauge('speed..1st', 'km/h').set(3)
meter.create_histogram('cart.weight', 'kg', 'Weights.', explicit_bucket_boundaries_advisory=[1, 2.5, 1e6]).record(2.5)
meter.create_histogram('disk.io', 'By/s').record(99)
meter.create_observable_counter('ticks', [lambda options: [metrics.Observation(7, {'of': 'clock'})]], 'ms')
print('ready', flush=True)
if sys.argv[1:]:
    print(generate_latest(registry).decode())
else:
    time.sleep(60)
"""
    run_program("perfagent", "run", "python", "-c", code, env=exposition.env()).wait_for_output("ready")
    exposition.wait_until(lambda: exposition.total("ticks_milliseconds_total") == 7)
    theirs = run_program("python", "-c", code, "sdk").check().partition("ready\n")[2]

    def labels(sample: Sample) -> list[tuple[str, str]]:
        written = {**sample.labels, "le": repr(float(sample.labels.get("le", "nan")))}  # 1000000.0 is 1e+06 too
        return sorted((key, text) for key, text in written.items() if text)

    def comparable(text: str) -> dict[str, object]:
        return {
            family.name: (
                family.type,
                family.documentation,
                sorted((sample.name, labels(sample), sample.value) for sample in family.samples),
            )
            for family in parse_text(text)
            if any(sample.labels.get("otel_scope_name") == "shop" for sample in family.samples)
        }

    ours = comparable(exposition.get()[1].decode())
    assert len(ours) == 8
    assert ours == comparable(theirs)
    assert "process_cpu_utilization_ratio" in exposition.families()  # the SDK leaves the unit 1 out, against the rules


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_finds_no_fault_but_names_that_opentelemetry_has_given(
    run_program: RunProgram, exposition: Exposition
) -> None:
    program = run_program("perfagent", "run", "python", "-c", "import time; time.sleep(60)", env=exposition.env())
    program.wait_for_port(exposition.port)
    checked = subprocess.run(["promtool", "check", "metrics"], input=exposition.get()[1], capture_output=True)
    complaints = checked.stderr.decode().splitlines()
    assert checked.returncode == (3 if complaints else 0)  # 3: only matters of style
    assert all('should not have "_count" suffix' in complaint for complaint in complaints)


def test_units_are_written_as_the_sdks_exporter_writes_them() -> None:
    from opentelemetry.exporter.prometheus._mapping import map_unit

    from perfagent.runtime.prometheus.families import unit_name

    for unit in (
        "s",
        "ms",
        "By",
        "1",
        "",
        "%",
        "{request}",
        "By/s",
        "{fault}/s",
        "1/s",
        "m/h",
        "Cel",
        "foo bar",
        "a/b/c",
    ):
        assert unit_name(unit) == map_unit(unit).replace("1_per", "per"), unit


def test_health_pages_answer_json_and_other_pages_do_not_exist(run_program: RunProgram, exposition: Exposition) -> None:
    program = run_program("perfagent", "run", "python", "-c", "import time; time.sleep(60)", env=exposition.env())
    program.wait_for_port(exposition.port)
    for path in ("/health", "/health/ready", "/health/live"):
        headers, content = exposition.get(path)
        assert headers["Content-Type"] == "application/json"
        assert json.loads(content)["status"] == "ok"
    health = json.loads(exposition.get("/health")[1])
    assert health["processes"] == [health["pid"]] == [program.pid]
    assert exposition.get(method="HEAD")[1] == b""
    headers, content = exposition.get(Accept_Encoding="gzip")
    assert b"target_info{" in gzip.decompress(content)
    for path, method, status in (("/nope", "GET", 404), ("/metrics", "POST", 405)):
        with pytest.raises(urllib.error.HTTPError) as failure:
            exposition.get(path, method)
        assert failure.value.code == status


def test_a_client_that_says_nothing_or_nonsense_keeps_nobody_out(
    run_program: RunProgram, exposition: Exposition
) -> None:
    program = run_program("perfagent", "run", "python", "-c", "import time; time.sleep(60)", env=exposition.env())
    program.wait_for_port(exposition.port)
    silent = socket.create_connection(("127.0.0.1", exposition.port))
    for nonsense in (b"\x16\x03\x01\r\n\r\n", b"GET\r\n\r\n", b"x" * 100_000):
        with socket.create_connection(("127.0.0.1", exposition.port)) as client:
            try:
                client.sendall(nonsense)
                client.recv(100)
            except ConnectionError:
                pass
    assert json.loads(exposition.get("/health/live")[1]) == {"status": "ok"}
    silent.close()
    assert program.running
    assert program.stderr == ""


@pytest.fixture
def gunicorn(run_program: RunProgram, exposition: Exposition, free_port: int) -> tuple[Program, int]:
    command = ("gunicorn", "-w", "3", "-b", f"127.0.0.1:{free_port}", "tests.apps.prefork:wsgi")
    program = run_program("perfagent", "run", *command, env=exposition.env(), cwd=ROOT)
    program.wait_for_port(free_port)
    return program, free_port


def test_gunicorns_workers_are_one_exposition_and_a_killed_one_takes_nothing_away(
    gunicorn: tuple[Program, int], exposition: Exposition
) -> None:
    program, port = gunicorn
    served: dict[int, int] = {}
    while len(served) < 3 or sum(served.values()) < 40:
        worker = get(port)
        served[worker] = served.get(worker, 0) + 1
    made = sum(served.values())
    exposition.wait_until(lambda: exposition.total(REQUESTS) == made)
    assert exposition.total(QUERIES) == made
    [(labels, _)] = exposition.samples(REQUESTS)
    assert "process_pid" not in labels
    uptimes = {int(labels["process_pid"]) for labels, _ in exposition.samples("process_uptime_seconds")}
    assert {program.pid, *served} == uptimes
    [(target, _)] = exposition.samples("target_info")
    assert target["service_name"] == "tested"
    assert "process_pid" not in target
    collections = exposition.total("cpython_gc_collections_total")
    threads = exposition.total("process_thread_count")

    killed = next(iter(served))
    os.kill(killed, signal.SIGKILL)
    exposition.wait_until(
        lambda: len(_health(exposition)["processes"]) == 4 and killed not in _health(exposition)["processes"]
    )
    assert exposition.total(REQUESTS) == made
    assert exposition.total("cpython_gc_collections_total") >= collections
    seen = set()
    for _ in range(30):
        seen.add(get(port))
        assert exposition.total(REQUESTS) >= made
    assert killed not in seen
    exposition.wait_until(lambda: exposition.total(REQUESTS) == made + 30)
    exposition.wait_until(lambda: len(exposition.samples("process_uptime_seconds")) == 4)
    pids = {int(labels["process_pid"]) for labels, _ in exposition.samples("process_uptime_seconds")}
    assert killed not in pids
    assert exposition.total("process_thread_count") < 2 * threads
    assert len(exposition.files()) <= 4 + 4  # a file a process, and what they share
    program.terminate()
    assert exposition.files() == []


def _health(exposition: Exposition) -> Any:
    return json.loads(exposition.get("/health")[1])


def test_uvicorns_spawned_workers_are_one_exposition(
    run_program: RunProgram, exposition: Exposition, free_port: int
) -> None:
    command = ("uvicorn", "tests.apps.prefork:asgi", "--workers", "2", "--port", str(free_port))
    program = run_program("perfagent", "run", *command, env=exposition.env(), cwd=ROOT)
    program.wait_for_port(free_port)
    served = [get(free_port) for _ in range(40)]
    exposition.wait_until(lambda: exposition.total(REQUESTS) == len(served))
    assert {*served} <= set(_health(exposition)["processes"])
    program.terminate()
    assert exposition.files() == []


def test_children_that_have_ended_keep_what_they_counted(run_program: RunProgram, exposition: Exposition) -> None:
    code = """
import multiprocessing
def work(times):
    for _ in range(times):
        cursor.execute('select 1')
if __name__ == '__main__':
    context = multiprocessing.get_context('fork')
    work(1)
    for times in (2, 3):
        child = context.Process(target=work, args=(times,))
        child.start()
        child.join()
    for _ in range(2):
        if not os.fork():
            work(5)
            os._exit(0)
        os.wait()
    print('ended', flush=True)
    time.sleep(60)
"""
    program = run_program("perfagent", "run", "python", "-c", QUERY + code, env=exposition.env())
    program.wait_for_output("ended")
    exposition.wait_until(lambda: exposition.total(QUERIES) == 1 + 2 + 3 + 5 + 5)
    assert _health(exposition)["processes"] == [program.pid]
    assert program.stderr == ""


def test_when_the_process_that_serves_is_killed_another_does_and_nothing_is_forgotten(
    run_program: RunProgram, exposition: Exposition
) -> None:
    code = """
cursor.execute('select 1')
if os.fork():
    time.sleep(60)
for _ in range(4):
    cursor.execute('select 1')
print('ready', os.getpid(), flush=True)
time.sleep(60)
"""
    program = run_program("perfagent", "run", "python", "-c", QUERY + code, env=exposition.env())
    program.wait_for_output("ready")
    exposition.wait_until(lambda: exposition.total(QUERIES) == 5)
    assert _health(exposition)["pid"] == program.pid
    exposition.wait_until(
        lambda: any(f"{program.pid}-" in path.name and b"operation" in path.read_bytes() for path in exposition.files())
    )
    program.process.kill()
    program.process.wait()
    exposition.wait_until(lambda: _health(exposition)["pid"] == int(program.stdout.split()[1]))
    assert exposition.total(QUERIES) == 5
    assert {int(labels["process_pid"]) for labels, _ in exposition.samples("process_uptime_seconds")} == {
        int(program.stdout.split()[1])
    }


def test_a_program_that_replaces_itself_goes_on_counting(run_program: RunProgram, exposition: Exposition) -> None:
    code = """
from pathlib import Path
for _ in range(3):
    cursor.execute('select 1')
folder, deadline = Path(os.environ['PERFAGENT_PROMETHEUS_DIR']), time.monotonic() + 60
def is_written():
    try:
        return any(b'operation' in path.read_bytes() for path in folder.rglob(f'*{os.getpid()}-*'))
    except OSError:
        return False
while not is_written() and time.monotonic() < deadline:
    time.sleep(0.05)
if sys.argv[1] == 'again':
    os.execv(sys.executable, [sys.executable, '-c', sys.orig_argv[-2], 'once'])
print('ready', flush=True)
time.sleep(60)
"""
    env = exposition.env(PERFAGENT_PROMETHEUS_DIR=str(exposition.directory / "shared"))
    keeper = run_program("perfagent", "run", "python", "-c", "import time; time.sleep(60)", env=env)
    keeper.wait_for_port(exposition.port)
    program = run_program("perfagent", "run", "python", "-c", QUERY + code, "again", env=env)
    program.wait_for_output("ready")
    exposition.wait_until(lambda: exposition.total(QUERIES) == 6)
    assert len(_health(exposition)["processes"]) == 2


def test_a_folder_that_was_given_is_emptied_but_stays_and_a_new_run_starts_from_zero(
    run_program: RunProgram, exposition: Exposition
) -> None:
    shared = exposition.directory / "shared"
    env = exposition.env(PERFAGENT_PROMETHEUS_DIR=str(shared))
    code = QUERY + "cursor.execute('select 1')\nprint('ready', flush=True)\ntime.sleep(60)"
    for _ in range(2):
        program = run_program("perfagent", "run", "python", "-c", code, env=env)
        program.wait_for_output("ready")
        exposition.wait_until(lambda: exposition.total(QUERIES) == 1)
        program.stop()  # killed: it leaves everything behind
        assert [path for path in shared.iterdir() if path.name[0].isdigit()]
    program = run_program("perfagent", "run", "python", "-c", code, env=env)
    program.wait_for_output("ready")
    program.terminate()
    assert [path.name for path in shared.iterdir()] == ["lock"]


def test_a_port_that_somebody_else_has_is_told_once_and_taken_when_it_is_free(
    run_program: RunProgram, exposition: Exposition
) -> None:
    code = "import os, time\nif not os.fork(): time.sleep(60)\ntime.sleep(60)"
    with socket.create_server(("127.0.0.1", exposition.port)):
        program = run_program("perfagent", "run", "python", "-c", code, env=exposition.env())
        program.wait_for_output("/metrics cannot be served")
        assert "OTEL_EXPORTER_PROMETHEUS_PORT" in program.stderr
        time.sleep(1.5)  # time for more than one process, and more than one try, to say so again
        assert len(program.stderr.splitlines()) == 1
    exposition.wait_until(lambda: exposition.total("process_uptime_seconds") > 0)
    program.wait_for_output(f"/metrics is served on http://localhost:{exposition.port}/metrics")


def test_port_0_takes_a_free_one_and_says_which(run_program: RunProgram, exposition: Exposition) -> None:
    code = "import os, time\nif not os.fork(): time.sleep(60)\ntime.sleep(60)"
    env = exposition.env(OTEL_EXPORTER_PROMETHEUS_PORT="0")
    program = run_program("perfagent", "run", "python", "-c", code, env=env)
    program.wait_for_output("/metrics is served on")
    exposition.port = int(program.stderr.split("localhost:")[1].partition("/")[0])
    exposition.wait_until(lambda: len(_health(exposition)["processes"]) == 2)


@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
def test_both_exporters_tell_the_same_totals(
    run_program: RunProgram, receiver: Receiver, exposition: Exposition, temporality: str
) -> None:
    code = """
for _ in range(60):
    cursor.execute('select 1')
    time.sleep(0.02)
print('ready', flush=True)
time.sleep(60)
"""
    env = {
        **agent_env(receiver, OTEL_METRIC_EXPORT_INTERVAL="100"),
        **exposition.env(
            OTEL_METRICS_EXPORTER="otlp,prometheus",
            OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=temporality,
        ),
    }
    program = run_program("perfagent", "run", "python", "-c", QUERY + code, env=env)
    program.wait_for_output("ready")
    exposition.wait_until(lambda: exposition.total(QUERIES) == 60)
    receiver.wait_for_metric("db.client.operation.duration")
    exposition.wait_until(lambda: receiver.total("db.client.operation.duration").count == 60)
    assert receiver.metric("db.client.operation.duration")[-1].temporality == temporality.upper()
    seconds = exposition.total("db_client_operation_duration_seconds_sum")
    assert seconds == pytest.approx(receiver.total("db.client.operation.duration").sum)


def test_without_prometheus_client_one_line_tells_how_to_get_it(
    run_program: RunProgram, exposition: Exposition
) -> None:
    bare = sys._base_executable  # type: ignore[attr-defined] # an interpreter without the development packages
    program = run_program("perfagent", "run", bare, "-c", "print(1)", env=exposition.env())
    assert program.check() == "1\n"
    [line] = program.stderr.splitlines()
    assert 'pip install "perfagent[prometheus]"' in line


def test_the_program_sees_no_thread_of_ours_and_its_children_do_not_keep_the_port(
    run_program: RunProgram, exposition: Exposition
) -> None:
    code = """
import threading, socket, subprocess
print(len(threading.enumerate()), flush=True)
child = subprocess.Popen(['sleep', '60'], close_fds=False)
os.posix_spawn('/bin/sleep', ['sleep', '60'], {})
if not os.fork():
    time.sleep(3)
    print(sorted(os.listdir('/proc/self/fd')), flush=True)
    time.sleep(60)
deadline = time.monotonic() + 60
while socket.socket().connect_ex(('127.0.0.1', int(sys.argv[1]))) and time.monotonic() < deadline:
    time.sleep(0.05)
time.sleep(1)
os._exit(0)
"""
    words = ("-W", "ignore::ResourceWarning", "-c", QUERY + code, str(exposition.port))
    program = run_program("perfagent", "run", "python", "-W", "error", *words, env=exposition.env())
    program.wait_for_port(exposition.port)
    assert program.check().startswith("1\n")
    assert program.stderr == ""
    exposition.wait_until(lambda: len(_health(exposition)["processes"]) == 1)  # the forked child has it now


def test_a_program_that_closes_every_file_keeps_its_own_and_is_served_again(
    run_program: RunProgram, exposition: Exposition, free_port: int
) -> None:
    code = """
import socket, threading
time.sleep(0.3)
os.closerange(3, 64)
mine = [socket.socket() for _ in range(6)]
for one in mine:
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
mine[0].bind(('127.0.0.1', int(sys.argv[1])))
mine[0].listen()
def serve():
    while True:
        connection, _ = mine[0].accept()
        connection.sendall(b'mine')
        connection.close()
threading.Thread(target=serve, daemon=True).start()
print('ready', flush=True)
time.sleep(60)
"""
    program = run_program("perfagent", "run", "python", "-c", QUERY + code, str(free_port), env=exposition.env())
    program.wait_for_output("ready")
    exposition.wait_until(lambda: exposition.total("process_uptime_seconds") > 0)
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", free_port)) as client:
            assert client.recv(10) == b"mine"
    assert program.stderr == ""


def test_a_crash_between_the_two_steps_of_taking_over_counts_nothing_twice(tmp_path: Path) -> None:
    from perfagent.runtime.prometheus.folder import Folder, Snapshot

    metrics: Any = [("counter", "jobs", "", ["scope", "", "", []], "Jobs.", (), [((("kind", "a"),), [5], [])])]
    folder = Folder(str(tmp_path), ours=False)
    folder.join()
    dead = Folder(str(tmp_path), ours=False)
    dead.name = f"{2**22 + 1}-1-abcd"  # a number that no process has
    dead.write(Snapshot(2**22 + 1, {}, metrics))
    left = {path.name: path.read_bytes() for path in tmp_path.glob("4194305-*.json")}
    for _ in range(2):
        alive, ended = folder.read()
        assert alive == []
        assert [row[1] for row in ended[0][6]] == [[5]]
        for name, content in left.items():  # as if it had not been removed yet
            (tmp_path / name).write_bytes(content)


def test_a_process_number_used_again_is_not_the_process_before(tmp_path: Path) -> None:
    from perfagent.runtime.prometheus.processes import is_alive, started

    now = started(os.getppid())
    assert now is not None
    assert is_alive(os.getppid(), now)
    assert not is_alive(os.getppid(), now + 1)
    child = os.fork()
    if not child:
        os._exit(0)
    time.sleep(0.1)
    assert started(child) is None  # ended, though nobody has waited for it
    os.waitpid(child, 0)


def test_a_snapshot_that_is_cut_short_or_garbage_is_passed_over(tmp_path: Path) -> None:
    from perfagent.runtime.prometheus.folder import Folder

    folder = Folder(str(tmp_path), ours=False)
    folder.join()
    (tmp_path / f"{os.getppid()}-1-aaaa.json").write_bytes(b'{"pid": 1, "metr')
    (tmp_path / f"{os.getppid()}-2-bbbb.json").write_bytes(b"\xff\x00")
    assert folder.read() == ([], [])

"""`perfagent load kafka`: what was published is what was processed is what Prometheus counted, or the test fails."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from kafka import KafkaConsumer, KafkaProducer

from perfagent import settings
from perfagent.cli.load import main
from perfagent.load.events import AccessLog, encode
from perfagent.load.prometheus import Growth, Prometheus, PrometheusError, buckets, growth, quantile
from perfagent.settings import source
from tests.program import Program, find_free_port
from tests.servers import missing
from tests.test_docs import blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.stack.process import Process

    from tests.conftest import RunProgram

ROOT = Path(__file__).parent.parent
topics = (f"events-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def prometheus_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running Prometheus that takes OTLP."""
    from tools.stack.build import is_built
    from tools.stack.load_test import prometheus
    from tools.stack.parts import PARTS

    if not is_built(PARTS["prometheus"]):
        missing("Prometheus", "python -m tools.stack build prometheus")
    with prometheus(tmp_path_factory.mktemp("prometheus")) as url:
        yield url


class Loaded:
    """Runs `perfagent load kafka` and the sample consumer against real servers."""

    def __init__(self, broker: str, url: str, directory: Path, run_program: RunProgram) -> None:
        self.broker, self.url, self.directory, self._run = broker, url, directory, run_program
        self.topic = next(topics)
        self.consumers: list[Process] = []

    def consume(self, name: str = "one", group: str = "") -> Process:
        """Starts a consumer; in a group of its own topic: one that was killed delays those of its group for long."""
        from tools.stack.load_test import consumer

        (self.directory / name).mkdir()
        words = ("--group", group or f"readers of {self.topic}")
        process = consumer(self.directory / name, self.broker, self.url, self.topic, words)
        self.consumers.append(process)
        process.start()
        return process

    def load(self, rate: int, duration: float, *words: str) -> Program:
        asked = ("--rate", str(rate), "--duration", str(duration), "--topic", self.topic, "--bootstrap", self.broker)
        command = ("perfagent", "load", "kafka", *asked, "--prometheus", self.url, "--output", "json", *words)
        return self._run(*command)

    def counted(self, name: str = "one") -> int:
        """How many events the consumer has counted in its own database."""
        with contextlib.closing(sqlite3.connect(self.directory / name / "access.db")) as database:
            try:
                return int(database.execute("select coalesce(sum(requests), 0) from paths").fetchone()[0])
            except sqlite3.OperationalError:  # it has not begun yet
                return 0


@pytest.fixture
def loaded(kafka_broker: str, prometheus_url: str, tmp_path: Path, run_program: RunProgram) -> Iterator[Loaded]:
    made = Loaded(kafka_broker, prometheus_url, tmp_path, run_program)
    yield made
    for process in made.consumers:
        process.stop()


def report(program: Program, status: int, timeout: float = 60) -> Any:
    assert program.wait(timeout) == status, program.stdout + program.stderr
    return json.loads(program.stdout)


@pytest.mark.slow
def test_published_is_processed_is_what_prometheus_counts(loaded: Loaded, prometheus_url: str) -> None:
    loaded.consume()
    told = report(loaded.load(200, 5, "--partitions", "2", "--key", "client"), 0)
    assert told["published"]["due"] == told["published"]["acknowledged"] == told["published"]["logged"] == 1000
    (group,) = told["consumed"]
    assert (group["group"], group["processed"], group["received"]) == (f"readers of {loaded.topic}", 1000, 1000)
    assert (group["lost"], group["more_than_published"]) == (0, 0)
    assert loaded.counted() == 1000
    # all of them, this being a topic of its own: Prometheus' own arithmetic says the same as ours
    asked, now = Prometheus(prometheus_url), time.time()
    where = f'{{messaging_destination_name="{loaded.topic}"}}'
    (counter,) = asked.ask(f"sum(messaging_process_duration_seconds_count{where})", now)
    assert float(counter["value"][1]) == 1000
    for share, shown in ((0.5, "p50_ms"), (0.99, "p99_ms")):
        histogram = f"sum by (le) (perfagent_messaging_latency_seconds_bucket{where})"
        (expected,) = asked.ask(f"histogram_quantile({share}, {histogram})", now)
        assert group["latency"][shown] / 1e3 == pytest.approx(float(expected["value"][1]))
    assert group["latency"]["covers"] == "due to processed"
    assert group["latency"]["count"] == 1000
    assert group["per_minute"] == pytest.approx(12_000, rel=0.25)  # the last export came within 1 s
    assert [verdict["passed"] for verdict in told["verdicts"]] == [True, True, True]
    assert told["passed"] is True
    # a second test on the same topic counts its own events alone
    again = report(loaded.load(100, 1.5, "--arrival", "poisson", "--seed", "4"), 0)
    (group,) = again["consumed"]
    assert group["processed"] == again["published"]["acknowledged"] == again["published"]["due"]
    assert group["processed"] == pytest.approx(150, abs=60)


@pytest.mark.slow
def test_a_consumer_that_is_killed_fails_the_test_which_says_how_many_are_missing(loaded: Loaded) -> None:
    process = loaded.consume()
    program = loaded.load(100, 4, "--wait", "4")
    program.wait_until(lambda: loaded.counted() > 100, "the consumer counted nothing")
    process.kill()
    told = report(program, 1)
    assert told["published"]["acknowledged"] == 400
    assert told["passed"] is False
    lost = [group["lost"] for group in told["consumed"]] or [400]
    assert 100 < lost[0] <= 400
    assert told["verdicts"][0]["passed"] is False
    assert f"{lost[0]} " in told["verdicts"][0]["text"]
    assert "missing" in told["verdicts"][0]["text"]


@pytest.mark.slow
def test_what_others_publish_is_a_disagreement_that_is_shown(loaded: Loaded) -> None:
    program = loaded.load(30, 5, "--min-rate", "100", "--max-latency", "10")
    reader = KafkaConsumer(loaded.topic, bootstrap_servers=loaded.broker, auto_offset_reset="earliest")
    next(reader)  # the test has begun
    reader.close()
    producer = KafkaProducer(bootstrap_servers=loaded.broker)
    log = AccessLog()
    for _ in range(30):
        producer.send(loaded.topic, encode(log.event(time.time())))
    producer.close()
    loaded.consume()
    told = report(program, 0)
    assert (told["published"]["acknowledged"], told["published"]["logged"]) == (150, 180)
    (group,) = told["consumed"]
    assert (group["processed"], group["lost"], group["more_than_published"]) == (180, 0, 30)


@pytest.mark.slow
def test_every_group_must_have_processed_all_unless_one_is_named(loaded: Loaded) -> None:
    loaded.consume("one", "fast")
    slow = loaded.consume("other", "slow")
    first = report(loaded.load(50, 2, "--min-rate", "1000"), 0)
    assert [(group["group"], group["processed"]) for group in first["consumed"]] == [("fast", 100), ("slow", 100)]
    slow.kill()
    words = ("--rate", "50", "--duration", "1", "--topic", loaded.topic, "--bootstrap", loaded.broker, "--wait", "15")
    asking = ("--prometheus", loaded.url, "--group", "fast", "--min-rate", "1000")
    program = loaded._run("perfagent", "load", "kafka", *words, *asking)
    assert program.wait(60) == 0, program.stdout
    assert "pass  every event is processed: all 50" in program.stdout
    assert "slow" not in program.stdout


@pytest.mark.slow
def test_limits_that_are_not_met_fail(loaded: Loaded) -> None:
    loaded.consume()
    told = report(loaded.load(20, 2, "--max-latency", "0.000001"), 1)
    texts = [verdict["text"] for verdict in told["verdicts"] if not verdict["passed"]]
    assert len(texts) == 2
    assert texts[0].startswith("at least 2,500 events/min: ")
    assert texts[1].startswith("mean latency below")


@pytest.mark.slow
def test_messages_are_access_events_with_the_time_at_which_they_were_due(loaded: Loaded) -> None:
    before = time.time()
    told = report(loaded.load(50, 1, "--seed", "9", "--wait", "1", "--key", "path"), 1)
    assert "no consumer" in told["verdicts"][0]["text"]
    consumer = KafkaConsumer(
        loaded.topic, bootstrap_servers=loaded.broker, auto_offset_reset="earliest", consumer_timeout_ms=5000
    )
    records = list(itertools.islice(consumer, 50))
    consumer.close()
    events = [json.loads(record.value) for record in records]
    expected = AccessLog(9)
    for number, (record, event) in enumerate(zip(records, events, strict=True)):
        assert {**expected.event(0), "ts": event["ts"]} == event
        assert event["ts"] == pytest.approx(events[0]["ts"] + number / 50, abs=1e-4)
        assert record.timestamp == int(event["ts"] * 1000)
        assert record.key == event["path"].encode()
    assert before < events[0]["ts"] < time.time()


@pytest.mark.slow
def test_where_nobody_answers_one_line_tells_who(
    kafka_broker: str, prometheus_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = f"127.0.0.1:{find_free_port()}"
    for words, status, told in (
        (("--bootstrap", kafka_broker), 2, "--prometheus or PERFAGENT_PROMETHEUS_URL"),
        (("--bootstrap", kafka_broker, "--prometheus", f"http://{closed}"), 3, "Connection refused"),
        (("--bootstrap", kafka_broker, "--prometheus", "localhost:9090"), 2, "--prometheus is no address"),
        (("--bootstrap", "8.8.8.8:9092", "--prometheus", prometheus_url), 2, "--yes"),
        (("--bootstrap", closed), 3, "no Kafka broker can be used at"),  # Prometheus by the setting
    ):
        environ = {"PERFAGENT_PROMETHEUS_URL": prometheus_url} if words == ("--bootstrap", closed) else {}
        monkeypatch.setitem(source._current, settings.Settings, settings.Settings(environ))
        assert main(["kafka", "--rate", "10", "--duration", "1", *words]) == status
        shown = capsys.readouterr()
        assert told in shown.err
        assert shown.err.count("\n") == 1
        assert shown.out == ""


@pytest.mark.slow
def test_a_producer_under_the_agent_and_its_consumer_share_traces(loaded: Loaded, receiver: Any) -> None:
    """The generator itself under the agent, and a consumer whose spans go to the same receiver."""
    sent_to = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_BSP_SCHEDULE_DELAY": "100", "PERFAGENT_STRICT": "1"}
    reading = loaded._run(
        "perfagent", "run", sys.executable, "-m", "access_log.consumer", "--bootstrap", loaded.broker,
        "--topic", loaded.topic, "--database", str(loaded.directory / "access.db"),
        env={**sent_to, "PYTHONPATH": str(ROOT / "examples")},
    )  # fmt: skip
    words = ("--rate", "20", "--duration", "1", "--topic", loaded.topic, "--bootstrap", loaded.broker, "--wait", "1")
    load = ("perfagent", "run", "perfagent", "load", "kafka", *words, "--prometheus", loaded.url)
    loaded._run(*load, env=sent_to).wait(60)
    processed = receiver.wait_for_spans(20, where=lambda span: span.kind == "CONSUMER")
    sent = {span.span_id: span for span in receiver.wait_for_spans(20, where=lambda span: span.kind == "PRODUCER")}
    inserts = receiver.wait_for_spans(20, where=lambda span: span.name == "INSERT paths")
    assert reading.terminate() == 0
    assert len(processed) == len(sent) == 20
    for span in processed:
        producer = sent[span.parent_id]
        assert span.trace_id == producer.trace_id
        assert [link.span_id for link in span.links] == [producer.span_id]
        assert producer.start <= span.start
    assert {span.parent_id for span in inserts} == {span.span_id for span in processed}


def test_growth_is_counted_from_the_last_sample_before_and_over_resets() -> None:
    samples = [(100.0, "40"), (110.0, "50"), (120.0, "70"), (130.0, "5"), (140.0, "25")]
    assert growth(samples, since=110) == (20 + 5 + 20, 140)
    assert growth(samples, since=115) == (20 + 5 + 20, 140)
    assert growth(samples, since=99) == (70 + 5 + 20, 140)  # it began in the window, at zero
    assert growth([*samples, (150.0, "25")], since=110) == (45, 140)
    assert growth(samples, since=140) == (0, 0)
    assert growth([], since=0) == (0, 0)


def test_a_quantile_of_buckets_is_interpolated_and_ends_at_the_last_bound() -> None:
    def series(bound: str, count: float, group: str = "one") -> Growth:
        return Growth({"le": bound, "messaging_consumer_group_name": group}, count, 0)

    found = buckets(
        [series("0.1", 10), series("0.2", 30), series("+Inf", 40), series("0.1", 5), series("0.1", 9, "other")], "one"
    )
    assert found == [(0.1, 15), (0.2, 30), (float("inf"), 40)]
    assert quantile(0.5, found) == pytest.approx(0.1 + 0.1 * 5 / 15)
    assert quantile(0.99, found) == 0.2
    assert quantile(0.5, []) is None


def test_a_prometheus_that_is_none_is_told(receiver: Any) -> None:
    with pytest.raises(PrometheusError, match=r"answered 40[45]"):
        Prometheus(receiver.url).ask("vector(1)", time.time())


def test_what_answers_and_speaks_no_http_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

        answering = threading.Thread(target=answer)
        answering.start()
        with pytest.raises(PrometheusError, match="answers, but not as Prometheus does"):
            Prometheus(f"http://127.0.0.1:{listener.getsockname()[1]}").ask("vector(1)", time.time())
        answering.join()


def test_a_password_in_the_address_of_prometheus_is_sent_and_never_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str | None] = []

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sent.append(self.headers["Authorization"])
            self.send_error(401)

        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.setitem(source._current, settings.Settings, settings.Settings({}))
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever).start()
        url = f"http://me:hunter2@127.0.0.1:{server.server_port}"
        assert main(["kafka", "--rate", "10", "--duration", "1", "--prometheus", url]) == 3
        server.shutdown()
    assert sent == [f"Basic {base64.b64encode(b'me:hunter2').decode()}"]
    told = capsys.readouterr().err
    assert f"Prometheus at http://127.0.0.1:{server.server_port} answered 401" in told
    assert "hunter2" not in told


@pytest.mark.slow
def test_make_load_test_starts_all_it_needs_and_passes(kafka_broker: str, run_program: RunProgram) -> None:
    command = (sys.executable, "-m", "tools.stack.load_test", "--rate", "100", "--duration", "3")
    program = run_program(*command, cwd=ROOT)
    assert program.wait(90) == 0, program.stdout + program.stderr
    assert "pass  every event is processed: all 300" in program.stdout
    assert "mean latency below 1.00 s" in program.stdout
    makefile = (ROOT / "Makefile").read_text()
    assert "python -m tools.stack.load_test --rate $(RATE) --duration $(DURATION)" in makefile


@pytest.mark.slow
def test_make_load_test_stops_all_that_it_has_started_when_its_terminal_is_closed(
    kafka_broker: str, tmp_path: Path
) -> None:
    command = (sys.executable, "-m", "tools.stack.load_test", "--rate", "10", "--duration", "60")
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    testing = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True)
    assert testing.stdout is not None
    assert testing.stdout.readline().startswith("broker at ")
    while not any("reading" in log.read_text() for log in tmp_path.rglob("consumer.log")):
        assert testing.poll() is None
        time.sleep(0.1)
    testing.send_signal(signal.SIGHUP)
    status = testing.wait(30)
    left = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, text=True, check=False).stdout.split()
    for pid in left:
        os.kill(int(pid), signal.SIGKILL)
    assert (status, left) == (130, [])


@pytest.mark.slow
def test_what_the_page_types_works(loaded: Loaded, run_program: RunProgram) -> None:
    port = find_free_port()
    run_program(sys.executable, str(ROOT / "tests/apps/stalling_server.py"), str(port)).wait_for_port(port)
    loaded.consume()
    places = {
        "localhost:8000": f"127.0.0.1:{port}",
        "localhost:9092": loaded.broker,
        "http://localhost:9090": loaded.url,
        "access-events": loaded.topic,
        "--duration 10": "--duration 1",
        "--duration 5": "--duration 1",
        "--duration 30": "--duration 1 --wait 15",
    }
    for block in blocks("docs/how-to/load-test.md", "sh"):
        for shown, ours in places.items():
            block = block.replace(shown, ours)
        assert "localhost" not in block
        program = run_program("bash", "-euc", block)
        assert program.wait(60) == 0, program.stdout + program.stderr

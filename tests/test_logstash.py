"""The Logstash pipelines: what real programs log becomes events in ECS's words, and secrets stay behind.

No Logstash runs here. A reader that has Logstash's grammar takes the pipelines apart, Elastic's grok runs their
patterns, and Ruby runs their scripts, on what the real senders write.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
import time
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import yaml
from tools.stack.build import program
from tools.stack.parts import PARTS
from tools.stack.stack import FILES

from tests.program import Program, find_free_port
from tests.servers import missing, running_postgres, running_redis
from tests.stack import eventually, need
from tests.test_docs import blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import RunProgram

PAGE = "docs/how-to/logs.md"
FOLDER = FILES / "logstash"
PIPELINES = sorted((FOLDER / "pipeline").glob("*.conf"))
INSTALLED = "/usr/share/logstash/pipeline/"
RUNNER = Path(__file__).parent / "apps" / "logstash_filter.rb"
Event = dict[str, Any]


def read(name: str) -> dict[str, list[dict[str, Any]]]:
    """The plugins of a pipeline by section."""
    need("logstash")
    done = run(program(PARTS["logstash"]), "read", FOLDER / "pipeline" / name)
    return json.loads(done)  # type: ignore[no-any-return]


def run(*words: object, given: str = "") -> str:
    done = subprocess.run([str(word) for word in words], input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def filtered(name: str, events: list[Event]) -> list[Event]:
    """What the filters of a pipeline make of events, each run by what runs it for real."""
    for one in read(name)["filter"]:
        if one["name"] == "ruby":
            events = scripted(local(one["settings"]["path"]), events)
        else:
            assert one["name"] == "grok", f"this test does not know the filter {one['name']}"
            events = grokked(one["settings"], events)
    return events


def local(path: str) -> Path:
    """The file of the checkout that is mounted at a path."""
    assert path.startswith(INSTALLED)
    return FOLDER / "pipeline" / path.removeprefix(INSTALLED)


def scripted(script: Path, events: list[Event]) -> list[Event]:
    if not shutil.which("ruby"):
        missing("ruby", "apt-get install ruby")
    given = "".join(f"{json.dumps(event)}\n" for event in events)
    return [json.loads(line) for line in run("ruby", RUNNER, script, given=given).splitlines()]


def grokked(settings: dict[str, Any], events: list[Event]) -> list[Event]:
    ((source, pattern),) = settings["match"].items()
    definitions = json.dumps(settings.get("pattern_definitions", {}))
    lines = "".join(f"{event[source]}\n" for event in events)
    found = run(program(PARTS["logstash"]), "grok", pattern, definitions, given=lines).splitlines()
    return [matched(event, json.loads(fields)) for event, fields in zip(events, found, strict=True)]


def matched(event: Event, fields: dict[str, Any] | None) -> Event:
    if fields is None:
        return {**event, "tags": [*event.get("tags", []), "_grokparsefailure"]}
    for path, value in fields.items():
        *parents, last = path.split(".")
        inner = event
        for name in parents:
            inner = inner.setdefault(name, {})
        inner[last] = value
    return event


def seconds(event: Event) -> float:
    """When it happened, since the epoch."""
    moment = re.sub(r"(\.\d{6})\d*Z$", r"\1+00:00", event["@timestamp"].replace("Z", "000Z"))
    return datetime.fromisoformat(moment).timestamp()


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.name)
def test_every_pipeline_is_read_and_every_plugin_has_a_name_of_its_own(path: Path) -> None:
    sections = read(path.name)
    assert sections["input"]
    assert sections["output"]
    for plugin in (one for section in sections.values() for one in section):
        assert plugin["settings"]["id"].startswith(path.stem.split("-")[0])
    for one in sections["filter"]:
        if one["name"] == "ruby":
            assert local(one["settings"]["path"]).exists()


def test_the_plugins_are_those_that_logstash_brings() -> None:
    used = {plugin["name"] for path in PIPELINES for section in read(path.name).values() for plugin in section}
    assert used <= {"http", "file", "pipeline", "ruby", "grok", "elasticsearch"}


def test_every_pipeline_is_started_and_ends_in_the_store() -> None:
    listed = yaml.safe_load((FOLDER / "pipelines.yml").read_text())
    paths = {one["pipeline.id"]: one["path.config"].removeprefix(INSTALLED) for one in listed}
    stores = {paths["store"].replace("${LOGSTASH_STORE:file}", kind) for kind in ("file", "elasticsearch")}
    assert {*paths.values()} - {paths["store"]} | stores == {path.name for path in PIPELINES}
    for name in paths.values():
        if name != paths["store"]:
            sections = read(name)
            assert [one["settings"]["send_to"] for one in sections["output"]] == [["store"]]
            assert sections["filter"][-1]["settings"]["path"].endswith("/scrub.rb"), "the last word is scrub's"
    for name in stores:
        assert read(name)["input"][0]["settings"]["address"] == "store"


def test_queues_are_on_disk_and_what_no_index_takes_is_kept() -> None:
    settings = yaml.safe_load((FOLDER / "logstash.yml").read_text())
    assert settings["queue.type"] == "persisted"
    assert settings["dead_letter_queue.enable"] is True
    assert re.fullmatch(r"\d+mb", settings["queue.max_bytes"])


def test_elasticsearch_gets_data_streams_and_a_password_from_the_environment() -> None:
    (output,) = read("store-elasticsearch.conf")["output"]
    settings = output["settings"]
    assert (output["name"], settings["data_stream"]) == ("elasticsearch", "true")
    assert settings["hosts"] == ["${ELASTICSEARCH_URL}"]
    assert settings["password"] == "${ELASTIC_PASSWORD}"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (
            "GET https://shop.example/search?q=lamp&user=anna HTTP/1.1",
            "GET https://shop.example/search?[REDACTED] HTTP/1.1",
        ),
        ("GET /search?q=lamp 200", "GET /search?[REDACTED] 200"),
        ("connecting to postgresql://anna:opensesame@db/shop", "connecting to postgresql://[REDACTED]@db/shop"),
        ("Authorization: Bearer abcdefghijkl.mno", "Authorization: Bearer [REDACTED]"),
        ('{"password": "opensesame", "user": 1}', '{"password": "[REDACTED]", "user": 1}'),
        ("api_key=k-123; retry", "api_key=[REDACTED]; retry"),
        ("is it 3/4? yes", "is it 3/4? yes"),
        ("no tokens were left", "no tokens were left"),
    ],
)
def test_what_looks_like_a_secret_is_taken_out_of_a_text(text: str, left: str) -> None:
    (event,) = scripted(FOLDER / "pipeline/scripts/scrub.rb", [{"message": text, "labels": {"inner": [text]}}])
    assert event["message"] == left
    assert event["labels"]["inner"] == [left]


def test_fields_with_the_name_of_a_secret_are_taken_away() -> None:
    fields = {
        "http": {"request": {"headers": {"Cookie": "a", "accept": "b"}}},
        "db_password": "c",
        "x.api-key": "d",
        "user": "e",
    }
    (event,) = scripted(FOLDER / "pipeline/scripts/scrub.rb", [fields])
    del event["@timestamp"], event["@version"]
    assert event == {"http": {"request": {"headers": {"accept": "b"}}}, "user": "e"}


class Received:
    """A server that answers as Logstash's http input does, and keeps what it is sent; `url` is its address."""

    def __init__(self) -> None:
        self.bodies: list[Event] = []
        self.paths: set[tuple[str, str]] = set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.paths.add((self.path, self.headers["content-type"]))
                outer.bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(200)
                self.send_header("content-type", "text/plain")
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Received:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


LOGGING = """
import logging
from opentelemetry import trace
log = logging.getLogger("shop.orders")
with trace.get_tracer("shop").start_as_current_span("order") as span:
    log.warning("late: GET https://shop.example/pay?card=4111 by %s", "anna", extra={"items": 3, "basket.size": "big"})
    try:
        raise ValueError("no such price")
    except ValueError:
        log.exception("failed with password=opensesame")
    print(format(span.get_span_context().trace_id, "032x"), format(span.get_span_context().span_id, "016x"))
"""


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[tuple[str, Received]]:
    """The OTLP address of a real gateway whose logs also go to `Received`."""
    need("collector")
    ports = {name: str(find_free_port()) for name in ("OTLP_HTTP", "OTLP_GRPC", "HEALTH", "TELEMETRY", "SPAN_METRICS")}
    with Received() as received:
        env = {
            **{f"{name}_PORT": port for name, port in ports.items()},
            "LISTEN": "127.0.0.1",
            "STORAGE": str(tmp_path / "storage"),
            "LOGS": str(tmp_path / "logs.jsonl"),
            "LOGSTASH": received.url,
        }
        files = [word for name in ("gateway.yaml", "gateway-logstash.yaml") for word in ("--config", str(FILES / name))]
        collector = Program((str(program(PARTS["collector"])), *files), tmp_path, env)
        try:
            collector.wait_for_port(int(ports["OTLP_HTTP"]))
            yield f"http://127.0.0.1:{ports['OTLP_HTTP']}", received
        finally:
            collector.stop()


@pytest.mark.slow
def test_a_programs_logs_arrive_with_their_trace_by_way_of_the_gateway(
    gateway: tuple[str, Received], run_program: RunProgram, tmp_path: Path
) -> None:
    endpoint, received = gateway
    (tmp_path / "app.py").write_text(LOGGING)
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_SERVICE_NAME": "orders",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test,service.version=7",
        "PERFAGENT_STRICT": "true",
    }
    begun = time.time()
    printed = run_program("perfagent", "run", "python", "app.py", env=env, cwd=tmp_path).check()
    trace_id, span_id = printed.split()
    eventually(lambda: len(filtered("app.conf", received.bodies)) == 2, 20, lambda: str(received.bodies))
    assert received.paths == {("/v1/logs", "application/json")}

    late, failed = filtered("app.conf", received.bodies)
    for event in (late, failed):
        assert (event["trace"], event["span"]) == ({"id": trace_id}, {"id": span_id})
        assert {"name": "orders", "version": "7", "environment": "test"}.items() <= event["service"].items()
        assert event["data_stream"] == {"type": "logs", "dataset": "app", "namespace": "default"}
        assert begun - 1 < seconds(event) < time.time()
        assert event["log"]["logger"] == "shop.orders"
        assert "resourceLogs" not in event
    assert (late["log"]["level"], failed["log"]["level"]) == ("warn", "error")
    assert late["message"] == "late: GET https://shop.example/pay?[REDACTED] by anna"
    assert failed["message"] == "failed with password=[REDACTED]"
    assert (failed["error"]["type"], failed["error"]["message"]) == ("ValueError", "no such price")
    assert "raise ValueError" in failed["error"]["stack_trace"]
    assert failed["log"]["origin"]["file"]["name"].endswith("app.py")
    (block,) = blocks(PAGE, "json")
    documented = json.loads(block)
    assert documented["message"] == failed["message"]
    for name, fields in documented.items():
        assert not isinstance(fields, dict) or fields.keys() <= failed[name].keys(), name


def test_every_record_of_a_batch_becomes_an_event_whatever_its_types() -> None:
    values = {
        "text": {"stringValue": "a"},
        "count": {"intValue": "9007199254740993"},
        "share": {"doubleValue": 0.5},
        "on": {"boolValue": True},
        "list": {"arrayValue": {"values": [{"intValue": "1"}, {"stringValue": "b"}]}},
        "map.of": {"kvlistValue": {"values": [{"key": "c", "value": {"boolValue": False}}]}},
        "none": {},
    }
    record = {
        "timeUnixNano": "1700000000123456789",
        "severityNumber": 18,
        "body": {"kvlistValue": {"values": [{"key": "order", "value": {"intValue": "7"}}]}},
        "attributes": [{"key": key, "value": value} for key, value in values.items()],
    }
    scopes = [
        {"scope": {"name": "one"}, "logRecords": [record, {"body": {"stringValue": "bare"}}]},
        {"logRecords": [record]},
    ]
    sent = [{"resourceLogs": [{"resource": {"attributes": []}, "scopeLogs": scopes}, {"scopeLogs": scopes}]}]
    events = filtered("app.conf", sent)
    assert len(events) == 6
    assert events[0]["@timestamp"] == "2023-11-14T22:13:20.123456789Z"
    assert (events[0]["message"], events[0]["log"]) == ('{"order":7}', {"level": "error", "logger": "one"})
    assert events[0]["labels"] == {
        "text": "a",
        "count": "9007199254740993",
        "share": "0.5",
        "on": "true",
        "list": '[1,"b"]',
        "map_of": '{"c":false}',
        "none": "null",
    }
    assert (events[1]["message"], "trace" in events[1]) == ("bare", False)
    assert filtered("app.conf", [{"resourceSpans": []}, {"resourceLogs": None}]) == []


@pytest.fixture(scope="module")
def postgresql_events() -> list[Event]:
    """What a real PostgreSQL logs of slow, failing and prepared statements, after the pipeline."""
    documented, _ = blocks(PAGE, "ini")
    options = [line.replace(" = ", "=").replace("'", "") for line in documented.splitlines()]
    options += [
        "log_directory=.",
        "log_file_mode=0644",
        "log_min_duration_statement=100",
        "log_parameter_max_length=-1",
    ]
    options += ["shared_preload_libraries=pg_stat_statements"]
    with running_postgres(*options) as (url, folder):
        with psycopg.connect(f"{url}?application_name=billing", autocommit=True) as connection:
            connection.execute("CREATE TABLE people (id int PRIMARY KEY, mail text NOT NULL UNIQUE)")
            connection.execute("INSERT INTO people VALUES (4711, 'anna@example.org')")
            connection.execute("SELECT pg_sleep(0.15), 'it''s anna', $$topsecret$$, E'a\\'b', 4711.5 FROM \"people\"")
            connection.execute("SELECT pg_sleep(0.15), mail FROM people WHERE mail = %s", ["anna@example.org"])
            for failing in (
                "INSERT INTO people VALUES (1, 'anna@example.org')",
                "INSERT INTO people VALUES (2, NULL)",
                "SELECT 'opensesame'::int",
                "SELECT * FROM nowhere WHERE mail = 'anna@example.org'",
            ):
                with pytest.raises(psycopg.Error):
                    connection.execute(failing)
        (path,) = (folder / "data").glob("postgresql-*.json")
        eventually(lambda: "nowhere" in path.read_text(), 10)
        lines = [json.loads(line) for line in path.read_text().splitlines()]
    source = {"log": {"file": {"path": "/var/log/postgresql/log.json"}}}
    return filtered("postgresql.conf", [{**line, **source} for line in lines])


@pytest.mark.slow
def test_postgresql_times_and_names_are_those_of_the_server(postgresql_events: list[Event]) -> None:
    assert len(postgresql_events) > 8
    now = datetime.now(timezone.utc).timestamp()
    for event in postgresql_events:
        assert now - 300 < seconds(event) <= now
        assert event["data_stream"]["dataset"] == "postgresql.log"
        assert event["log"]["file"]["path"] == "/var/log/postgresql/log.json"
        assert event["process"]["pid"] > 0
    (ready,) = (one for one in postgresql_events if "ready to accept" in one["message"])
    assert (ready["log"]["level"], ready["service"]) == ("log", {"type": "postgresql"})


@pytest.mark.slow
def test_a_slow_statement_of_postgresql_has_its_duration_and_no_values(postgresql_events: list[Event]) -> None:
    slow = (one for one in postgresql_events if "duration" in one["event"])
    plain, prepared = (one for one in slow if "pg_sleep" in one["message"])
    for event in (plain, prepared):
        assert 100e6 < event["event"]["duration"] < 60e9
        assert event["postgresql"]["log"]["application_name"] == "billing"
        assert event["postgresql"]["log"]["database"] == "shop"
        assert event["postgresql"]["log"]["query_id"] != 0
        assert (event["user"]["name"], event["client"]["ip"]) == ("tester", "127.0.0.1")
    assert plain["postgresql"]["log"]["query"] == 'SELECT pg_sleep(?), ?, ?, ?, ? FROM "people"'
    assert plain["message"].endswith('  statement: SELECT pg_sleep(?), ?, ?, ?, ? FROM "people"')
    assert prepared["postgresql"]["log"]["query"] == "SELECT pg_sleep(?), mail FROM people WHERE mail = $1"
    assert prepared["postgresql"]["log"]["query_step"] == "execute"
    assert prepared["postgresql"]["log"]["detail"] == "parameters: $1 = ?"


@pytest.mark.slow
def test_an_error_of_postgresql_has_its_code_and_no_values(postgresql_events: list[Event]) -> None:
    failed = (one for one in postgresql_events if "error" in one)
    twice, null, cast, table = (one for one in failed if one["postgresql"]["log"].get("application_name") == "billing")
    assert [one["error"]["code"] for one in (twice, null, cast, table)] == ["23505", "23502", "22P02", "42P01"]
    assert twice["postgresql"]["log"]["detail"] == "Key (mail)=(?) already exists."
    assert null["postgresql"]["log"]["detail"] == "Failing row contains (?)."
    assert cast["error"]["message"] == 'invalid input syntax for type integer: "?"'
    assert table["error"]["message"] == 'relation "nowhere" does not exist'
    assert table["postgresql"]["log"]["query"] == "SELECT * FROM nowhere WHERE mail = ?"


@pytest.mark.slow
def test_nothing_that_was_typed_is_left_of_postgresqls_log(postgresql_events: list[Event]) -> None:
    told = json.dumps(postgresql_events)
    assert [secret for secret in ("anna", "topsecret", "opensesame", "4711", "a'b") if secret in told] == []


@pytest.mark.parametrize(
    ("sql", "left"),
    [
        ("SELECT 1", "SELECT ?"),
        ("SELECT t1.c2, -1.5e3 FROM t1", "SELECT t1.c2, -? FROM t1"),
        ("UPDATE a SET b = 'x' -- it's", "UPDATE a SET b = ? -- it?"),
        ("SELECT 'cut off in the mid", "SELECT ?"),
        ("SELECT $body$ it's 1 $body$, $1", "SELECT ?, $1"),
        ('SELECT "column 1" FROM "t\'1" WHERE a = \'b\'', 'SELECT "column 1" FROM "t\'1" WHERE a = ?'),
        ("SELECT 'C:\\', 'secret'", "SELECT ?, ?"),
        ("ALTER ROLE a PASSWORD 'b'", "ALTER ROLE a PASSWORD ?"),
    ],
)
def test_literals_are_taken_out_of_sql(sql: str, left: str) -> None:
    (event,) = filtered("postgresql.conf", [{"message": f"statement: {sql}", "error_severity": "LOG"}])
    assert event["postgresql"]["log"]["query"] == left


def test_redis_lines_have_level_role_and_time() -> None:
    import redis

    _, documented = blocks(PAGE, "ini")
    name, path = documented.split()
    with running_redis(f"--{name}", Path(path).name, "--loglevel", "verbose") as (url, folder):
        client = redis.Redis.from_url(url)
        client.set("a", "b")
        client.bgsave()
        log = folder / Path(path).name
        eventually(lambda: "terminated with success" in log.read_text(), 10)
        with pytest.raises(redis.ResponseError):
            client.execute_command("REPLICAOF", "nowhere")
        client.close()
        lines = log.read_text().splitlines()
    source = {"log": {"file": {"path": path}}}
    events = filtered("redis.conf", [{"message": line, **source} for line in lines])
    assert [one for one in events if "tags" in one] == []
    assert {one["redis"]["log"]["role"] for one in events} == {"master", "child"}
    assert {one["log"]["level"] for one in events} >= {"notice", "warning"}
    (ready,) = (one for one in events if one["message"].startswith("Ready to accept connections"))
    assert ready["log"] == {"level": "notice", "file": {"path": path}}
    assert ready["data_stream"]["dataset"] == "redis.log"
    local_time = datetime.fromisoformat(ready["@timestamp"].replace("Z", "")).timestamp()
    assert abs(time.time() - local_time) < 300  # what Redis wrote, in the zone of the machine
    assert isinstance(ready["process"]["pid"], int)


def test_a_line_that_redis_did_not_begin_stays_and_is_marked() -> None:
    (event,) = filtered(
        "redis.conf", [{"message": "=== REDIS BUG REPORT START ===", "@timestamp": "2026-01-01T00:00:00.000Z"}]
    )
    assert event["message"] == "=== REDIS BUG REPORT START ==="
    assert event["tags"] == ["_grokparsefailure"]
    assert event["@timestamp"] == "2026-01-01T00:00:00.000Z"


def test_the_variables_that_the_documentation_names_are_those_of_the_pipelines() -> None:
    files = [*PIPELINES, FOLDER / "pipelines.yml"]
    used = {name for path in files for name in re.findall(r"\$\{(\w+)", path.read_text())}
    named = set(re.findall(r"`([A-Z_]+)`", (FILES.parent / PAGE).read_text().split("## Send")[0]))
    assert used == {name for name in named - {"LOGS"} if not name.startswith("PERFAGENT_")}

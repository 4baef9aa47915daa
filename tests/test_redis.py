"""Redis: one span for each command and pipeline, without keys and values; hits and misses; nothing else changes."""

from __future__ import annotations

import gzip
import re
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.agent import agent_env
from tests.otlp import Receiver, Span
from tests.program import Program, find_free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
APP = "tests/apps/redis_calls.py"
KEYS = (b"secret-key", b"secret-no", b"secret-hash", b"secret-field", b"secret-absent", b"secret-inline", b"secret-a")
"""Keys that stand in the program's text; its values do not belong to them."""


class Run:
    """One run of the program under the agent, and what it printed."""

    def __init__(self, which: str, directory: Path, **env: str) -> None:
        self.env = {"REFUSED_PORT": str(find_free_port()), "PYTHONPATH": str(ROOT), **env}
        with Receiver() as self.receiver:
            command = ("python", str(ROOT / APP), which)
            measured = agent_env(self.receiver, **self.env)
            self.stdout = Program(("perfagent", "run", *command), directory, measured, ROOT).check()
            self.receiver.wait_until_quiet(0.2)
        self.spans = self.receiver.spans

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> Span:
        (span,) = self.named(name)
        return span

    def lookups(self, namespace: str = "perfagent") -> tuple[float, float]:
        """Hits and misses."""
        hits = self.receiver.total(f"{namespace}.cache.hits", cache__system="redis").value
        return hits, self.receiver.total(f"{namespace}.cache.misses", cache__system="redis").value

    def exported(self, *signals: str) -> bytes:
        wanted = [f"/v1/{signal}" for signal in signals]
        bodies = [request.body for request in self.receiver.requests if not wanted or request.path in wanted]
        return b"".join(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body for body in bodies)


@pytest.fixture(scope="module")
def sync(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run("sync", tmp_path_factory.mktemp("sync"), REDIS_URL=redis_url)


@pytest.fixture(scope="module")
def asynchronous(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run("asynchronous", tmp_path_factory.mktemp("asynchronous"), REDIS_URL=redis_url)


def test_a_command_has_a_span_with_its_name_and_its_arguments_replaced(sync: Run, redis_url: str) -> None:
    address = urlsplit(redis_url)
    span = sync.one("HSET")
    assert span.kind == "CLIENT"
    assert span.status.code == "UNSET"
    attributes = {key: value for key, value in span.attributes.items() if not key.startswith("code.")}
    assert attributes == {
        "db.system.name": "redis",
        "db.namespace": "3",
        "db.operation.name": "HSET",
        "db.query.text": "HSET ? ? ?",
        "server.address": address.hostname,
        "server.port": address.port,
    }
    assert span.scope.name == "perfagent.redis"


def test_each_call_of_the_program_has_one_span(sync: Run, asynchronous: Run) -> None:
    names = sorted(span.name for span in asynchronous.spans)
    assert names == [
        "BLPOP", "BRPOP", "FLUSHDB", "GET", "GET", "LPUSH", "MULTI", "PIPELINE", "PIPELINE GET", "PUBLISH", "RPUSH",
        "SET",
    ]  # fmt: skip
    assert len(sync.named("GET")) == 3  # the third within a transaction that was being watched
    assert len(sync.named("HGET")) == 2
    assert len(sync.named("SET")) == 4  # one by a lock, which is Lua from then on


def test_no_key_and_no_value_leaves(sync: Run, asynchronous: Run) -> None:
    for run in (sync, asynchronous):
        exported = run.exported("traces", "metrics")
        assert b"db.query.text" in exported
        assert b"secret" not in exported
        told = run.exported("logs")  # what caches are worth, by the shapes of keys: words of the program's own texts
        assert b"perfagent.cache.economics" in told
        words = set(re.findall(rb"secret[\w-]*", told))
        assert all(word == b"secret" or word.startswith(KEYS) for word in words), words  # `secret-{}` is one, too


def test_the_program_sees_what_it_sees_without_the_agent(
    sync: Run, asynchronous: Run, redis_url: str, tmp_path: Path
) -> None:
    for which, run in (("sync", sync), ("asynchronous", asynchronous)):
        directory = tmp_path / which
        directory.mkdir()
        bare = Program(("python", str(ROOT / APP), which), directory, {**run.env, "REDIS_URL": redis_url}, ROOT).check()
        assert _without_clock(run.stdout) == _without_clock(bare)


def _without_clock(printed: str) -> list[str]:
    return printed.splitlines()[:-1] if printed.splitlines()[-1].startswith("own") else printed.splitlines()


def test_a_command_line_given_as_one_text_shows_its_first_word_alone(sync: Run) -> None:
    texts = [span.attributes["db.query.text"] for span in sync.named("SET")]
    assert sorted(texts) == ["SET ? ?"] * 3 + ["SET ? ? ? ? ?"]
    assert sync.one("get").attributes["db.query.text"] == "get ?"


def test_a_command_of_two_words_keeps_both(sync: Run) -> None:
    assert sync.one("CONFIG GET").attributes["db.query.text"] == "CONFIG GET ?"
    assert sync.one("MEMORY USAGE").attributes["db.query.text"] == "MEMORY USAGE ?"


def test_a_command_of_many_arguments_has_a_short_text(sync: Run) -> None:
    texts = {span.attributes["db.query.text"] for span in sync.named("MGET")}
    assert texts == {"MGET ? ? ?", "MGET" + " ?" * 16 + " ..."}


def test_a_pipeline_is_one_span_named_by_what_it_sends(sync: Run) -> None:
    same = sync.one("PIPELINE GET")
    assert same.attributes["db.operation.name"] == "PIPELINE GET"
    assert same.attributes["db.operation.batch.size"] == 3
    assert same.attributes["db.query.text"] == "GET ?; GET ?; GET ?"
    (transaction,) = [span for span in sync.named("MULTI") if span.attributes["db.query.text"].startswith("SET")]
    assert transaction.attributes["db.query.text"] == "SET ? ?; INCRBY ? ?"
    assert transaction.attributes["db.operation.batch.size"] == 2
    long = sync.one("PIPELINE ECHO")
    assert long.attributes["db.operation.batch.size"] == 40
    assert long.attributes["db.query.text"] == "ECHO ?; " * 16 + "..."


def test_a_pipeline_of_one_command_is_that_command_and_one_of_none_is_nothing(sync: Run) -> None:
    assert "db.operation.batch.size" not in sync.one("GETDEL").attributes
    assert not [span for span in sync.spans if span.attributes.get("db.operation.batch.size") == 0]


def test_hits_and_misses_are_counted_in_commands_and_pipelines(sync: Run, asynchronous: Run) -> None:
    hits, misses = sync.lookups()
    # GET 1+1+1 of 4, MGET 1 of 3, EXISTS 1 of 2, HGET 1 of 2, 2 of 3 GETs and 1 GETDEL and 1 GET in pipelines, 0 of 40.
    assert hits == 3 + 1 + 1 + 1 + 2 + 1 + 1
    assert misses == 1 + 2 + 1 + 1 + 1 + 40
    assert asynchronous.lookups() == (2, 2)


def test_the_namespace_of_the_counters_is_a_setting(redis_url: str, tmp_path: Path) -> None:
    run = Run("asynchronous", tmp_path, REDIS_URL=redis_url, PERFAGENT_NAMESPACE="shop")
    assert run.lookups("shop") == (2, 2)


def test_every_operation_is_in_the_duration_metric(sync: Run) -> None:
    for name in ("HGET", "PIPELINE GET", "BLPOP"):
        total = sync.receiver.total("db.client.operation.duration", db__operation__name=name)
        assert total.count == len(sync.named(name))
    failed = sync.receiver.total("db.client.operation.duration", db__response__status_code="WRONGTYPE")
    assert failed.count == 2


def test_a_servers_error_is_told_by_its_prefix(sync: Run, asynchronous: Run) -> None:
    for run in (sync, asynchronous):
        wrong = run.one("LPUSH")
        assert wrong.status.code == "ERROR"
        assert wrong.attributes["db.response.status_code"] == "WRONGTYPE"
        assert wrong.attributes["error.type"] == "WRONGTYPE"
        (event,) = wrong.events
        assert event.attributes["exception.type"] == "redis.exceptions.ResponseError"
        assert event.attributes["exception.message"] == "WRONGTYPE"
        assert "redis_calls.py" in event.attributes["exception.stacktrace"]
    assert sync.one("NOSUCH").attributes["db.response.status_code"] == "ERR"


def test_an_error_in_a_pipeline_fails_it_where_it_is_raised(sync: Run, asynchronous: Run) -> None:
    for run in (sync, asynchronous):
        failed = [span for span in run.named("PIPELINE") if span.status.code == "ERROR"]
        assert [span.attributes["db.query.text"] for span in failed] == ["PING; LPUSH ? ?"]
        assert failed[0].attributes["error.type"] == "WRONGTYPE"
    kept = [span for span in sync.named("PIPELINE") if span.attributes["db.query.text"] == "LPUSH ? ?; GET ?"]
    assert [span.status.code for span in kept] == ["UNSET"]


def test_a_watched_key_that_changed_is_no_error(sync: Run) -> None:
    (span,) = [span for span in sync.named("MULTI") if span.attributes["db.query.text"] == "STRLEN ?; DBSIZE"]
    assert span.status.code == "UNSET"
    assert not span.events


def test_a_connection_that_is_refused_is_an_error_of_its_own_type(sync: Run) -> None:
    span = sync.one("GETRANGE")
    assert span.status.code == "ERROR"
    assert span.attributes["error.type"] == "redis.exceptions.ConnectionError"
    assert "db.response.status_code" not in span.attributes
    assert "Connection refused" in span.events[0].attributes["exception.message"]


def test_a_blocking_command_lasts_until_its_answer(sync: Run, asynchronous: Run) -> None:
    for run in (sync, asynchronous):
        pushed = run.named("RPUSH")[0]
        popped = run.one("BLPOP")
        assert popped.start < pushed.start < popped.end


def test_a_cancelled_command_is_an_error(asynchronous: Run) -> None:
    assert asynchronous.one("BRPOP").attributes["error.type"] == "asyncio.exceptions.CancelledError"


def test_scripts_and_locks_show_as_their_commands(sync: Run) -> None:
    texts = {span.attributes["db.query.text"] for span in sync.named("EVALSHA")}
    assert "EVALSHA ? ? ? ?" in texts
    assert sync.one("PUBLISH").attributes["db.query.text"] == "PUBLISH ? ?"


@pytest.fixture
def other_servers(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A cluster of one node, and a master with its Sentinel."""
    cluster, bus, master, sentinel = (find_free_port() for _ in range(4))
    configuration = tmp_path / "sentinel.conf"
    configuration.write_text(f"port {sentinel}\nsentinel monitor shop 127.0.0.1 {master} 1\n")
    quiet = ("--save", "", "--loglevel", "warning", "--dir", str(tmp_path))
    commands = (
        ("redis-server", "--port", str(cluster), "--cluster-enabled", "yes", "--cluster-port", str(bus), *quiet),
        ("redis-server", "--port", str(master), *quiet),
        ("redis-server", str(configuration), "--sentinel"),
    )
    programs = []
    for number, command in enumerate(commands):
        (tmp_path / str(number)).mkdir()
        programs.append(Program(command, tmp_path / str(number)))
    try:
        for program, port in zip(programs, (cluster, master, sentinel), strict=True):
            program.wait_for_port(port)
        ask = ("redis-cli", "-p", str(cluster), "cluster")
        subprocess.run((*ask, "addslotsrange", "0", "16383"), check=True, capture_output=True)
        deadline = time.monotonic() + 60
        while b"cluster_state:ok" not in subprocess.run((*ask, "info"), check=True, capture_output=True).stdout:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield {"CLUSTER_PORT": str(cluster), "SENTINEL_PORT": str(sentinel)}
    finally:
        for program in programs:
            program.stop()


@pytest.mark.slow
def test_cluster_and_sentinel_clients_are_measured_too(
    other_servers: dict[str, str], redis_url: str, tmp_path: Path
) -> None:
    run = Run("others", tmp_path, REDIS_URL=redis_url, **other_servers)
    assert run.stdout.splitlines() == [
        "b'secret-value' None", "[b'secret-value', 12]", "b'sec'", "[b'secret-value', None]", "1",
    ]  # fmt: skip
    assert len(run.named("GET")) == 2
    assert run.one("GETRANGE").attributes["server.port"] == int(other_servers["CLUSTER_PORT"])
    assert run.one("PIPELINE").attributes["db.query.text"] == "GET ?; STRLEN ?"
    assert run.one("PIPELINE GET").attributes["db.operation.batch.size"] == 2
    through_sentinel = run.one("INCRBY").attributes
    assert through_sentinel["server.address"] == "shop"
    assert "server.port" not in through_sentinel
    assert run.lookups() == (3, 2)
    assert b"secret" not in run.exported("traces", "metrics")

"""pymemcache: one span a command, without keys and values; hits and misses; nothing else changes."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.agent import agent_env
from tests.otlp import Receiver, Span
from tests.program import Program, find_free_port

if TYPE_CHECKING:
    from tests.conftest import RunText

ROOT = Path(__file__).parent.parent
APP = str(ROOT / "tests" / "apps" / "memcache_calls.py")


class Run:
    """One run of the program under the agent, one without, and what they printed."""

    def __init__(self, server: str, directory: Path) -> None:
        self.server = server
        self.refused = find_free_port()
        command = ("python", APP, server, str(self.refused))
        with Receiver() as self.receiver:
            measured = agent_env(self.receiver)
            self.stdout = Program(("perfagent", "run", *command), directory, measured, ROOT).check()
            self.receiver.wait_until_quiet(0.2)
        self.bare = Program(command, directory, None, ROOT).check()
        self.spans = sorted(self.receiver.spans, key=lambda span: span.start)

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    def exported(self) -> bytes:
        bodies = [request.body for request in self.receiver.requests]
        return b"".join(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body for body in bodies)


@pytest.fixture(scope="module")
def run(memcached: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(memcached, tmp_path_factory.mktemp("run"))


def test_a_command_has_a_span_with_its_name_and_its_keys_replaced(run: Run) -> None:
    span = run.named("set")[0]
    host, _, port = run.server.rpartition(":")
    attributes = {key: value for key, value in span.attributes.items() if not key.startswith("code.")}
    assert attributes == {
        "db.system.name": "memcached",
        "db.operation.name": "set",
        "db.query.text": "set ?",
        "server.address": host,
        "server.port": int(port),
    }
    assert (span.kind, span.status.code, span.scope.name) == ("CLIENT", "UNSET", "perfagent.pymemcache")


def test_each_command_has_one_span_whichever_client_sends_it(run: Run) -> None:
    assert [span.name for span in run.spans] == [
        "flush_all", "set", "get", "get", "get", "set", "gets", "gets", "cas", "delete", "delete", "add", "incr",
        "touch", "get", "incr", "_OTHER", "stats", "set", "get", "set", "get", "get", "get", "get",
    ]  # fmt: skip
    assert [span.attributes["db.query.text"] for span in run.named("get")[:3]] == ["get ?", "get ?", "get ? ? ?"]
    assert [span.attributes.get("db.operation.batch.size") for span in run.named("set")] == [None, 2, None, None]
    assert [span.attributes.get("db.operation.batch.size") for span in run.named("delete")] == [None, 2]
    assert "db.query.text" not in run.named("_OTHER")[0].attributes
    assert run.named("stats")[0].attributes["db.query.text"] == "stats"


def test_no_key_and_no_value_leaves(run: Run) -> None:
    exported = run.exported()
    assert b"db.query.text" in exported
    assert b"secret" not in exported


def test_the_program_sees_what_it_sees_without_the_agent(run: Run) -> None:
    assert run.stdout == run.bare


def test_look_ups_count_as_hits_and_misses(run: Run) -> None:
    hits = run.receiver.total("perfagent.cache.hits", cache__system="memcached").value
    misses = run.receiver.total("perfagent.cache.misses", cache__system="memcached").value
    # get: 1, 0 and 1 of 3; gets: 2; by the pool 1; by the ring 2 of 3; by the one that retries 1
    assert (hits, misses) == (8, 4)


def test_a_command_that_fails_is_an_error_of_its_own_type(run: Run) -> None:
    refused = [span for span in run.spans if span.attributes["server.port"] == run.refused]
    assert [span.attributes["error.type"] for span in refused] == ["ConnectionRefusedError", "_OTHER"]
    assert [span.status.code for span in refused] == ["ERROR", "ERROR"]
    illegal = run.named("get")[3]
    assert illegal.attributes["error.type"] == "pymemcache.exceptions.MemcacheIllegalInputError"
    number = run.named("incr")[1]
    assert number.attributes["error.type"] == "pymemcache.exceptions.MemcacheClientError"
    assert number.events[0].attributes["exception.message"] == ""


def test_django_s_cache_is_counted_once(run_text: RunText, receiver: Receiver, memcached: str) -> None:
    program = run_text(
        """
        import os, django
        from django.conf import settings
        settings.configure(CACHES={"default": {
            "BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache", "LOCATION": os.environ["MEMCACHED"],
        }})
        from django.core.cache import cache
        cache.set("django-key", "value")
        print(cache.get("django-key"), cache.get("django-missing"), cache.get_many(["django-key", "django-other"]))
        """,
        MEMCACHED=memcached,
    )
    assert program.stdout == "value None {'django-key': 'value'}\n"
    receiver.wait_for_spans(4)
    assert [span.name for span in sorted(receiver.spans, key=lambda span: span.start)] == ["set", "get", "get", "get"]
    hits = receiver.total("perfagent.cache.hits")
    misses = receiver.total("perfagent.cache.misses")
    assert (hits.value, misses.value) == (2, 2)

"""Elasticsearch: a span for each request, over real HTTP to the small server of `tests.elasticsearch`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from perfagent.instruments.elasticsearch import _operation
from tests.elasticsearch import running_elasticsearch
from tests.queries import Run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.otlp import Span

slow = pytest.mark.slow
APP = "elasticsearch_calls.py"


@pytest.fixture
def port() -> Iterator[int]:
    with running_elasticsearch() as port:
        yield port


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Run, int]]:
    with running_elasticsearch() as port:
        yield Run(APP, "", tmp_path_factory.mktemp("elasticsearch"), PORT=str(port)), port


@slow
def test_a_program_sees_what_it_sees_without_the_agent(run: tuple[Run, int]) -> None:
    assert run[0].stdout == run[0].bare()
    for secret in (b"secret", b"opensesame"):
        assert secret not in run[0].exported()


@slow
def test_each_request_is_measured_once_by_operation_and_index(run: tuple[Run, int]) -> None:
    spans, port = run[0].below("documents"), run[1]
    assert [span.name for span in spans] == [
        "indices.create people", "index people", "get people", "exists people", "search people", "search people,pets",
        "info", "cluster.health",
    ]  # fmt: skip
    span = spans[4]
    assert span.scope.name == "perfagent.elasticsearch"
    assert span.attributes["db.system.name"] == "elasticsearch"
    assert span.attributes["db.operation.name"] == "search"
    assert span.attributes["db.collection.name"] == "people"
    assert span.attributes["http.request.method"] == "POST"
    assert (span.attributes["server.address"], span.attributes["server.port"]) == ("127.0.0.1", port)
    assert {span.status.code for span in spans} == {"UNSET"}
    assert [span.name for span in run[0].below("raw")] == ["search people"]
    assert {span.scope.name for span in run[0].spans} <= {"perfagent.elasticsearch", "program", "elasticsearch-api"}


@slow
def test_a_bulk_helper_stands_above_its_requests(run: tuple[Run, int]) -> None:
    found = [span for span in run[0].spans if span.name == "helpers.bulk"]
    assert len(found) == 1
    chunks = [span for span in run[0].queries if span.parent_id == found[0].span_id]
    assert [span.name for span in chunks] == ["bulk", "bulk"]


@slow
def test_a_failure_tells_the_status_and_nothing_of_the_request(run: tuple[Run, int]) -> None:
    spans = run[0].below("failures")
    assert [told(span) for span in spans] == ["404", "404", "503", "404", "elastic_transport.ConnectionError"]
    assert {span.status.code for span in spans} == {"ERROR"}


@slow
def test_the_async_client_is_measured_below_its_own_tasks(run: tuple[Run, int]) -> None:
    assert [span.name for span in run[0].below("async")] == ["index people", "search people"]
    for number in range(3):
        assert [span.name for span in run[0].below(f"task {number}")] == [f"count index-{number}"]


@slow
def test_a_program_that_traces_itself_keeps_the_clients_own_spans(port: int, tmp_path: Path) -> None:
    run = Run(APP, "", tmp_path, PORT=str(port), OWN_TRACING="1")
    assert "elasticsearch-api search\n" in run.stdout
    assert len([span for span in run.queries if span.name == "search people"]) == 3


def told(span: Span) -> object:
    return span.attributes["error.type"]


@pytest.mark.parametrize(
    ("method", "target", "operation", "index"),
    [
        ("HEAD", "/", "ping", ""),
        ("GET", "/", "info", ""),
        ("PUT", "/people", "indices.create", "people"),
        ("GET", "/people/_doc/secret", "get", "people"),
        ("POST", "/people/_doc", "index", "people"),
        ("POST", "/people/_update/secret", "update", "people"),
        ("POST", "/a,b/_search?q=secret", "search", "a,b"),
        ("GET", "/_cat/indices", "cat.indices", ""),
        ("POST", "/_bulk", "bulk", ""),
        ("DELETE", "/_tasks/oTUltX4IQMOUUVeiohTt8A:464", "tasks", ""),
    ],
)
def test_a_request_of_an_early_client_is_named_by_its_path(
    method: str, target: str, operation: str, index: str
) -> None:
    assert _operation(method, target) == (operation, index, method)

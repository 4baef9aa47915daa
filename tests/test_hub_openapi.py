"""The description of the interface is true: whatever it allows is accepted, whatever it forbids is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from schemathesis.engine import Status, from_schema
from schemathesis.engine.events import EngineFinished, NonFatalError, ScenarioFinished

from tests.hub import ServedHub, counter, gauge, histogram, logs, metrics, record, resource, span, traces

if TYPE_CHECKING:
    from collections.abc import Iterator


ACCEPTANCE = "Schema-valid request rejected"
EXAMPLES = 8  # of each operation in each mode, besides those that cover every constraint of the description


@pytest.fixture
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHub]:
    """A hub with a little of everything in it."""
    with ServedHub(tmp_path_factory.mktemp("hub")) as hub:
        who = resource("shop", telemetry__sdk__name="perfagent")
        told = {"db__system__name": "sqlite", "db__query__text": "SELECT * FROM items WHERE id = ?"}
        queries = [span(100 + i, "SELECT items", trace=1, parent=1, kind=3, **told) for i in range(8)]
        hub.send("traces", traces(who, *[span(i + 1, status=500 if i == 3 else 200) for i in range(20)], *queries))
        hub.send("logs", logs(who, record("hello", trace=1), record("it failed", 17)))
        readings = [gauge("process.uptime", 9.0), counter("jobs", 3.0), histogram("wait", [1.0], [3, 1], 2.0)]
        hub.send("metrics", metrics(who, *readings))
        yield hub


def is_contradictory(case: Any) -> bool:
    """Whether parameters that are right by themselves may be wrong together, or made by the hub alone: a cursor."""
    query = case.query or {}
    begins_later = "from" in query and not str(query["from"]).startswith("-")
    of_no_figure = case.path.endswith("/trends") and "limit" in query and "metric" not in query
    either_or = {"from", "hours"} <= query.keys()
    return bool({"cursor", "to", "stat"} & query.keys()) or begins_later or either_or or of_no_figure


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_schemathesis_finds_nothing(told: ServedHub) -> None:
    response = told.client.get("/openapi.json", headers=told.bearer("viewer"))
    schema = schemathesis.openapi.from_dict(response.json())
    schema.config.update(base_url=told.url, headers=told.bearer("admin"))
    schema.config.generation.update(max_examples=EXAMPLES, deterministic=True, database="none")
    found: list[str] = []
    tested: set[str] = set()
    for event in from_schema(schema.exclude(path_regex="realtime$")).execute():
        if isinstance(event, ScenarioFinished):
            tested.add(event.recorder.label)
            if event.status in (Status.FAILURE, Status.ERROR):
                found += failures(event)
        elif isinstance(event, NonFatalError):
            found.append(f"{event.label}: {event.value!r}")
        elif isinstance(event, EngineFinished):
            assert event.stop_reason == "completed"
    assert not found, "\n\n".join(found)
    described = sum(len(methods) for path, methods in response.json()["paths"].items() if not path.endswith("realtime"))
    assert len(tested) >= described


def failures(event: ScenarioFinished) -> list[str]:
    """What the checks of a scenario say, with the request that shows it."""
    found = []
    for identity, checks in event.recorder.checks.items():
        for check in checks:
            if check.status is Status.FAILURE and check.failure_info is not None:
                failure = check.failure_info.failure
                if failure.title == ACCEPTANCE and is_contradictory(event.recorder.cases[identity].value):
                    continue
                request = event.recorder.interactions[identity].request
                found.append(
                    f"{event.recorder.label}: {failure.title}\n{failure.message}\n{request.method} {request.uri}"
                )
    return found

"""Celery: tasks that are sent and tasks that are run, over a real broker, in workers of every kind."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from perfagent.hub.receive.operations import classify
from tests.otlp import Receiver
from tests.program import Program
from tests.queues import Queue

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
POOLS = {
    "prefork": ("--pool", "prefork", "--concurrency", "2", "--max-tasks-per-child", "4"),
    "threads": ("--pool", "threads", "--concurrency", "2"),
}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=POOLS)
def queue(request: pytest.FixtureRequest, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queue]:
    with Receiver() as receiver:
        broker = redis_url.rsplit("/", 1)[0] + f"/{3 + list(POOLS).index(request.param)}"
        command = ("celery", "-A", "tests.apps.celery_app", "worker", "--without-gossip", "--without-mingle")
        queue = Queue(
            receiver,
            tmp_path_factory.mktemp("celery"),
            (*command, "--loglevel", "INFO", *POOLS[request.param]),
            "tests/apps/celery_app.py",
            BROKER=broker,
        )
        try:
            yield queue
        finally:
            queue.worker.stop()
        assert "perfagent:" not in queue.worker.stderr, queue.worker.stderr


@pytest.fixture(autouse=True)
def _what_this_try_told(queue: Queue, request: pytest.FixtureRequest) -> None:
    """A second try counts nothing of the first one."""
    if getattr(request.node, "execution_count", 1) > 1:
        queue.receiver.wait_until_quiet()
        queue.receiver.clear()


def test_a_task_is_a_child_of_what_sent_it_and_parent_of_its_queries(queue: Queue) -> None:
    assert queue.send("add") == "3"
    (sent,), (run,) = queue.spans("send shop.add"), queue.spans("process shop.add")
    assert (sent.kind, run.kind) == ("PRODUCER", "CONSUMER")
    assert (run.trace_id, run.parent_id) == (sent.trace_id, sent.span_id)
    assert [link.span_id for link in run.links] == [sent.span_id]
    for span in (sent, run):
        told = span.attributes
        assert (told["messaging.system"], told["celery.task_name"]) == ("celery", "shop.add")
        assert told["messaging.destination.name"] == "celery"
        assert told["server.address"] in ("127.0.0.1", "localhost")
    (query,) = queue.receiver.wait_for_spans(
        1,
        where=lambda span: (
            span.parent_id == run.span_id and span.kind == "CLIENT" and span.attributes["db.system.name"] == "sqlite"
        ),
    )
    assert query.attributes["db.query.text"] == "select ? + ?"


def test_a_task_that_raises_fails_without_what_its_message_quotes(queue: Queue) -> None:
    assert queue.send("boom") == "LookupError(\"nobody knows '4111-1111'\")"
    (run,) = queue.spans("process shop.boom")
    assert (run.status.code, run.attributes["error.type"]) == ("ERROR", "LookupError")
    (event,) = run.events
    assert "4111" not in str(event.attributes)


def test_each_try_of_a_task_is_a_span_below_the_one_before_and_no_failure(queue: Queue) -> None:
    assert queue.send("again") == "2"
    tries = sorted(queue.spans("process shop.again", 3), key=lambda span: span.start)
    sent = sorted(queue.spans("send shop.again", 3), key=lambda span: span.start)
    assert [span.parent_id for span in tries] == [span.span_id for span in sent]
    assert [span.parent_id for span in sent[1:]] == [span.span_id for span in tries[:-1]]
    assert {span.status.code for span in tries} == {"UNSET"}
    assert len({span.trace_id for span in tries}) == 1


def test_a_chain_is_one_trace(queue: Queue) -> None:
    before = len(queue.receiver.spans)
    assert queue.send("chain") == "13"
    first, second = queue.receiver.wait_for_spans(
        2, where=lambda span: span.name == "process shop.add" and queue.receiver.spans.index(span) >= before
    )[:2]
    assert first.trace_id == second.trace_id


def test_every_task_has_one_span_whatever_becomes_of_its_process(queue: Queue) -> None:
    processes = int(queue.send("many"))
    assert processes >= 1
    queue.spans("process shop.pid", 12)
    queue.receiver.wait_until_quiet(0.5)
    assert len(queue.spans("process shop.pid")) == 12
    deadline = time.monotonic() + 60  # metrics are sent later than spans
    while (consumed := _consumed(queue, "shop.pid")) < 12 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert consumed in (12, 24)  # a second try sends as many again


def _consumed(queue: Queue, task: str) -> float:
    """How many messages all processes of the worker have told of that they took, for one task."""
    return queue.receiver.total("messaging.client.consumed.messages", celery__task_name=task).value


def test_what_beat_sends_begins_a_trace_that_the_worker_continues(queue: Queue, tmp_path: Path) -> None:
    command = (
        "perfagent",
        "run",
        "celery",
        "-A",
        "tests.apps.celery_app",
        "beat",
        "--schedule",
        str(tmp_path / "beat"),
    )
    beat = Program(command, tmp_path, queue.env, ROOT)
    try:
        sent = queue.spans("send shop.tick", 3)
        beat.terminate()
    finally:
        beat.stop()
    assert {span.parent_id for span in sent} == {""}
    assert len({span.trace_id for span in sent}) == len(sent)
    for span in sent[:3]:
        (run,) = queue.below(span, "process shop.tick")
        assert [link.span_id for link in run.links] == [span.span_id]
    queue.receiver.wait_until_quiet(0.3)
    of_beat = [span for span in queue.receiver.spans if span.resource["process.pid"] == beat.pid and not span.parent_id]
    assert {span.name for span in of_beat} == {"send shop.tick"}


def test_only_the_programs_own_commands_are_seen(queue: Queue) -> None:
    assert queue.send("look") == "0"
    (run,) = queue.spans("process shop.look")
    assert len(queue.below(run, "STRLEN")) == 1
    queue.receiver.wait_until_quiet(0.5)
    alone = {span.name for span in queue.receiver.spans if not span.parent_id and "db.system.name" in span.attributes}
    assert alone == set()  # of the worker, and of the client that waits for a result


def test_a_task_that_is_called_in_place_is_no_message(queue: Queue) -> None:
    count = len([span for span in queue.receiver.spans if span.kind in ("PRODUCER", "CONSUMER")])
    assert queue.send("eager") == "7 11"
    queue.receiver.wait_until_quiet(0.3)
    assert len([span for span in queue.receiver.spans if span.kind in ("PRODUCER", "CONSUMER")]) == count


def test_the_hub_tells_tasks_apart_by_their_names(queue: Queue) -> None:
    queue.send("many")
    found = {
        classify(kind, span.name, span.attributes, "")
        for kind, name in ((4, "send shop.pid"), (5, "process shop.pid"))
        for span in queue.spans(name)
    }
    assert found == {("producer", "send shop.pid", "celery", ""), ("consumer", "process shop.pid", "celery", "")}

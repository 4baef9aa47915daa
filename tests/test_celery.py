"""Celery: tasks that are sent and tasks that are run, over a real broker, in workers of every kind."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from perfagent.hub.receive.operations import classify
from tests.agent import agent_env
from tests.otlp import Receiver, Span
from tests.program import Program

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
POOLS = {
    "prefork": ("--pool", "prefork", "--concurrency", "2", "--max-tasks-per-child", "4"),
    "threads": ("--pool", "threads", "--concurrency", "2"),
}
pytestmark = pytest.mark.slow


class Queue:
    """A worker under the agent, and clients that send tasks to it."""

    def __init__(self, broker: str, directory: Path, pool: str, receiver: Receiver) -> None:
        self.env = agent_env(receiver, BROKER=broker, HOME=str(directory), PYTHONPATH=str(ROOT))
        self.receiver, self._directories = receiver, (directory / str(number) for number in itertools.count())
        command = ("celery", "-A", "tests.apps.celery_app", "worker", "--without-gossip", "--without-mingle")
        self.worker = Program(
            ("perfagent", "run", *command, "--loglevel", "INFO", *POOLS[pool]), directory, self.env, ROOT
        )

    def send(self, word: str) -> str:
        """What a client prints that sends some tasks and waits for them."""
        command = ("perfagent", "run", "python", str(ROOT / "tests/apps/celery_app.py"), word)
        directory = next(self._directories)
        directory.mkdir()
        program = Program(command, directory, self.env, ROOT)
        try:
            return program.check(60).strip()
        finally:
            program.stop()

    def spans(self, name: str, count: int = 1) -> list[Span]:
        return self.receiver.wait_for_spans(count, 20, where=lambda span: span.name == name)

    def consumed(self, task: str) -> float:
        """How many messages all processes of the worker have told of that they took, for one task."""
        return self.receiver.total("messaging.client.consumed.messages", celery__task_name=task).value


@pytest.fixture(scope="module", params=POOLS)
def queue(request: pytest.FixtureRequest, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queue]:
    with Receiver() as receiver:
        broker = redis_url.rsplit("/", 1)[0] + f"/{3 + list(POOLS).index(request.param)}"
        queue = Queue(broker, tmp_path_factory.mktemp("celery"), request.param, receiver)
        try:
            yield queue
        finally:
            queue.worker.stop()
        assert "perfagent:" not in queue.worker.stderr, queue.worker.stderr


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
        2, 20, where=lambda span: span.name == "process shop.add" and queue.receiver.spans.index(span) >= before
    )[:2]
    assert first.trace_id == second.trace_id


def test_every_task_has_one_span_whatever_becomes_of_its_process(queue: Queue) -> None:
    processes = int(queue.send("many"))
    assert processes >= 1
    queue.spans("process shop.pid", 12)
    queue.receiver.wait_until_quiet(0.5)
    assert len(queue.spans("process shop.pid")) == 12
    deadline = time.monotonic() + 20  # metrics are sent later than spans
    while (consumed := queue.consumed("shop.pid")) < 12 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert consumed == 12


def test_a_task_that_is_called_in_place_is_no_message(queue: Queue) -> None:
    count = len([span for span in queue.receiver.spans if span.kind in ("PRODUCER", "CONSUMER")])
    assert queue.send("eager") == "7 11"
    queue.receiver.wait_until_quiet(0.3)
    assert len([span for span in queue.receiver.spans if span.kind in ("PRODUCER", "CONSUMER")]) == count


def test_the_hub_tells_tasks_apart_by_their_names(queue: Queue) -> None:
    found = {
        classify(kind, span.name, span.attributes, "")
        for kind, name in ((4, "send shop.pid"), (5, "process shop.pid"))
        for span in queue.spans(name)
    }
    assert found == {("producer", "send shop.pid", "celery", ""), ("consumer", "process shop.pid", "celery", "")}

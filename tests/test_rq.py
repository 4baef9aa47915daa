"""RQ: jobs that are enqueued and jobs that are performed, over a real Redis, in work horses and in place."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from perfagent.hub.receive.operations import classify
from tests.otlp import Receiver
from tests.queues import Queue

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKERS = {"horses": ("-w", "rq.worker.Worker"), "simple": ("-w", "rq.worker.SimpleWorker")}
APP = "tests.apps.rq_app"
WORDS = "add look boom again later politely scheduled dependent many sync"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["horses", pytest.param("simple", marks=pytest.mark.nightly)])
def queue(request: pytest.FixtureRequest, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queue]:
    with Receiver() as receiver:
        broker = redis_url.rsplit("/", 1)[0] + f"/{6 + list(WORKERS).index(request.param)}"
        command = ("rq", "worker", "--url", broker, "--with-scheduler", *WORKERS[request.param])
        queue = Queue(receiver, tmp_path_factory.mktemp("rq"), command, "tests/apps/rq_app.py", BROKER=broker)
        try:
            queue.printed = queue.send(WORDS)
            yield queue
        finally:
            queue.worker.stop()
        assert "perfagent:" not in queue.worker.stderr, queue.worker.stderr


def test_the_program_sees_what_it_sees_without_us(queue: Queue) -> None:
    printed = re.sub(r"('again'|'later'): \d+", r"\1: PID", queue.printed)
    assert printed.splitlines()[0] == (
        "{'add': 3, 'look': None, 'boom': 'failed', 'again': PID, 'later': PID, 'politely': 'done', "
        "'scheduled': 'scheduled', 'dependent': 'second', 'many': '4', 'sync': 11} {'mine': 'secret'}"
    )


def test_a_job_is_a_child_of_what_enqueued_it_and_parent_of_its_queries(queue: Queue) -> None:
    (caller,) = queue.spans("caller add")
    (sent,) = queue.below(caller, f"send {APP}.add")
    (run,) = queue.below(sent, f"process {APP}.add")
    assert (sent.kind, run.kind, run.trace_id) == ("PRODUCER", "CONSUMER", caller.trace_id)
    assert [link.span_id for link in run.links] == [sent.span_id]
    for span in (sent, run):
        told = span.attributes
        assert (told["messaging.system"], told["rq.job.function"]) == ("rq", f"{APP}.add")
        assert (told["messaging.destination.name"], told["server.address"]) == ("default", "127.0.0.1")
    (query,) = queue.below(run, "SELECT")
    assert query.attributes["db.query.text"] == "select ? + ?"
    waited = queue.receiver.wait_for_metric("perfagent.messaging.wait")
    assert waited.attributes["messaging.system"] == "rq"


def test_a_job_that_raises_fails_without_what_its_message_quotes(queue: Queue) -> None:
    (run,) = queue.spans(f"process {APP}.boom")
    assert (run.status.code, run.attributes["error.type"]) == ("ERROR", "LookupError")
    (event,) = run.events
    assert "4111" not in str(event.attributes)


@pytest.mark.parametrize(("word", "tries"), [("again", 3), ("later", 2)])
def test_each_try_of_a_job_is_sent_by_the_one_before(queue: Queue, word: str, tries: int) -> None:
    (caller,) = queue.spans(f"caller {word}")
    above = caller
    for number in range(tries):
        (sent,) = queue.below(above, f"send {APP}.again")
        (above,) = queue.below(sent, f"process {APP}.again")
        assert above.status.code == ("UNSET" if number == tries - 1 else "ERROR")
    assert above.trace_id == caller.trace_id


def test_a_job_that_asks_to_be_tried_again_has_not_failed(queue: Queue) -> None:
    runs = queue.spans(f"process {APP}.again_politely", 2)
    assert {run.status.code for run in runs} == {"UNSET"}
    assert len({run.trace_id for run in runs}) == 1


@pytest.mark.parametrize("word", ["scheduled", "dependent"])
def test_a_job_that_has_to_wait_is_a_child_of_what_enqueued_it(queue: Queue, word: str) -> None:
    (caller,) = queue.spans(f"caller {word}")
    (sent,) = queue.below(caller, f"send {APP}.after")
    (run,) = queue.below(sent, f"process {APP}.after")
    assert run.trace_id == caller.trace_id


def test_jobs_that_are_enqueued_together_have_a_span_each(queue: Queue) -> None:
    (caller,) = queue.spans("caller many")
    sent = queue.below(caller, f"send {APP}.after", 5)
    assert len(sent) == 5
    for span in sent:
        assert len(queue.below(span, f"process {APP}.after")) == 1


def test_a_job_that_is_performed_in_place_is_below_what_enqueued_it(queue: Queue) -> None:
    (caller,) = queue.spans("caller sync")
    (sent,) = queue.below(caller, f"send {APP}.add")
    assert len(queue.below(sent, f"process {APP}.add")) == 1


def test_only_the_programs_own_commands_are_seen(queue: Queue) -> None:
    (run,) = queue.spans(f"process {APP}.look")
    assert len(queue.below(run, "GET")) == 1
    (own,) = queue.spans("GET", 2)[1:]  # the client's, after a worker of its own has run
    assert own.parent_id == ""
    assert queue.orphans() == set()


def test_the_hub_tells_jobs_apart_by_their_functions(queue: Queue) -> None:
    found = {
        classify(kind, span.name, span.attributes, "")
        for kind, name in ((4, f"send {APP}.boom"), (5, f"process {APP}.boom"))
        for span in queue.spans(name)
    }
    assert found == {
        ("producer", f"send {APP}.boom", "rq", ""),
        ("consumer", f"process {APP}.boom", "rq", ""),
    }

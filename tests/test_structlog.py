"""structlog under the agent: every event names its span, severe ones arrive once, whatever renders them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conftest import RunText
    from tests.otlp import Receiver

HEAD = """
import logging, structlog
from opentelemetry import trace
request = trace.get_tracer("shop").start_as_current_span("request")
"""
JSON = (
    HEAD
    + """
structlog.configure(processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer()])
log = structlog.get_logger()
"""
)


def test_an_event_names_the_span_it_happens_in(run_text: RunText, receiver: Receiver) -> None:
    program = run_text(JSON + """
with request:
    log.bind(user=7).info("inside", order=1)
    log.info("own", trace_id="mine")
log.info("outside")
""")  # fmt: skip
    (span,) = receiver.spans
    inside, own, outside = map(json.loads, program.stdout.splitlines())
    assert inside == {
        "event": "inside", "user": 7, "order": 1, "level": "info", "trace_id": span.trace_id, "span_id": span.span_id,
        "trace_flags": "01",
    }  # fmt: skip
    assert own == {"event": "own", "trace_id": "mine", "level": "info"}
    assert outside == {"event": "outside", "level": "info"}
    assert not receiver.logs


def test_a_severe_event_is_sent_as_the_processors_leave_it(run_text: RunText, receiver: Receiver) -> None:
    run_text(HEAD + """
def hide(logger, method, event):
    event["card"] = "[gone]"
    if event["event"] == "never": raise structlog.DropEvent
    return event
structlog.configure(processors=[
    structlog.stdlib.add_log_level, structlog.processors.TimeStamper(), hide, structlog.dev.ConsoleRenderer()
])
log = structlog.get_logger()
def work():
    log.warning("low stock", card="4111", item={"id": 5})
    try: {}["order"]
    except KeyError: log.exception("failed")
    log.error("never"); log.critical("down", exc_info=ValueError("why")); log.info("quiet")
with request: work()
""")  # fmt: skip
    low, failed, down = receiver.logs
    (span,) = receiver.spans
    assert (low.body, low.severity, low.severity_text) == ("low stock", 13, "WARN")
    assert (low.trace_id, low.span_id) == (span.trace_id, span.span_id)
    assert low.attributes["card"] == "[gone]"
    assert low.attributes["item"] == {"id": 5}
    assert low.attributes["code.function.name"] == "work"
    assert low.attributes["code.file.path"].endswith("prog.py")
    assert not {"event", "level", "timestamp", "trace_id"} & low.attributes.keys()
    assert (failed.severity_text, failed.attributes["exception.type"]) == ("ERROR", "KeyError")
    assert (down.severity, down.attributes["exception.message"]) == (21, "why")


def test_a_program_s_own_class_of_loggers_is_made_by_the_program_alone(run_text: RunText, receiver: Receiver) -> None:
    program = run_text(HEAD + """
class Own(structlog.BoundLogger):
    made = 0
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        Own.made += 1
    def _process_event(self, method, event, fields):
        return super()._process_event(method, f"{self.prefix} {event}", fields)
structlog.configure(wrapper_class=Own, processors=[structlog.processors.JSONRenderer(sort_keys=True)])
log = structlog.get_logger().bind(item=5)
log.prefix = "shop:"
before = Own.made
log.warning("low")
print(Own.made - before)
""")  # fmt: skip
    assert program.stdout.splitlines() == ['{"event": "shop: low", "item": 5}', "0"]
    (low,) = receiver.logs
    assert low.body == "shop: low"


def test_events_that_go_to_logging_are_sent_once(run_text: RunText, receiver: Receiver) -> None:
    program = run_text(HEAD + """
logging.basicConfig(format="%(otelTraceID)s %(message)s")
structlog.configure(
    processors=[structlog.stdlib.filter_by_level, structlog.processors.KeyValueRenderer(["event"])],
    logger_factory=structlog.stdlib.LoggerFactory(), wrapper_class=structlog.stdlib.BoundLogger,
)
log = structlog.get_logger("shop")
with request: log.error("once")
log.info("never")
""")  # fmt: skip
    (record,) = receiver.logs
    (span,) = receiver.spans
    line = f"event='once' span_id='{span.span_id}' trace_flags='01' trace_id='{span.trace_id}'"
    assert program.stderr.splitlines() == [f"{span.trace_id} {line}"]
    assert (record.body, record.scope.name, record.trace_id) == (line, "shop", span.trace_id)


def test_coroutines_log_from_other_threads_with_their_span(run_text: RunText, receiver: Receiver) -> None:
    program = run_text(JSON + """
import asyncio
async def main():
    with request: await log.aerror("later")
asyncio.run(main())
""")  # fmt: skip
    (span,) = receiver.spans
    assert json.loads(program.stdout)["trace_id"] == span.trace_id
    assert [(record.body, record.trace_id) for record in receiver.logs] == [("later", span.trace_id)]


def test_outside_of_a_span_the_output_is_the_same_as_without_the_agent(run_text: RunText) -> None:
    text = (
        JSON
        + """
import inspect, pickle
from structlog.testing import capture_logs
log.error("one", a=1); log.bind(b=2).warning("two")
structlog.configure(processors=[lambda *event: ((), {"msg": event[2]["event"]})], logger_factory=lambda: Own(),
                    wrapper_class=structlog.make_filtering_bound_logger(30))
class Own:
    def warning(self, **told): print(told)
structlog.get_logger().warning("three"); structlog.get_logger().info("filtered")
with capture_logs() as captured: structlog.get_logger().error("four")
print(captured, inspect.signature(structlog.BoundLoggerBase._process_event))
"""
    )
    assert run_text(text).stdout == run_text(text, bare=True).stdout


def test_the_settings_of_logging_hold(run_text: RunText, receiver: Receiver) -> None:
    text = JSON + 'with request: log.info("said"); log.error("failed")'
    program = run_text(text, OTEL_PYTHON_LOG_CORRELATION="false", PERFAGENT_LOGS_LEVEL="info")
    assert "trace_id" not in program.stdout
    assert [record.body for record in receiver.logs] == ["said", "failed"]
    receiver.clear()
    assert "trace_id" in run_text(text, PERFAGENT_LOGS_LEVEL="off").stdout
    assert not receiver.logs

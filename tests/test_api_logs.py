"""A program's own OpenTelemetry loggers on our runtime: real programs under the agent."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conftest import RunText
    from tests.otlp import Receiver


def test_a_record_arrives_with_all_that_it_was_given(run_text: RunText, receiver: Receiver) -> None:
    run_text("""
        from opentelemetry import _logs, trace
        from opentelemetry._logs import LogRecord, SeverityNumber
        logger = _logs.get_logger("shop", "1.2", schema_url="https://schema", attributes={"team": "a"})
        assert isinstance(logger, _logs.Logger) and logger.enabled(severity_number=SeverityNumber.DEBUG)
        with trace.get_tracer("shop").start_as_current_span("span") as span:
            logger.emit(
                timestamp=5, observed_timestamp=6, severity_number=SeverityNumber.INFO2, severity_text="NOTE",
                body={"order": 7, "items": ["a", None]}, attributes={"a": (1, 2)}, event_name="order.taken",
            )
            logger.emit(LogRecord(body="as an object", severity_number=SeverityNumber.DEBUG))
        try: raise ValueError("wrong")
        except ValueError as error:
            logger.emit(body="failed", exception=error, attributes={"exception.message": "mine"})
    """)
    record, whole, failed = receiver.logs
    (span,) = receiver.spans
    assert (record.time, record.observed_time, record.severity, record.severity_text) == (5, 6, 10, "NOTE")
    assert (record.body, record.attributes) == ({"order": 7, "items": ["a", None]}, {"a": [1, 2]})
    assert (record.trace_id, record.span_id, record.flags) == (span.trace_id, span.span_id, 1)
    assert record.event_name == "order.taken"
    assert (record.scope.name, record.scope.version, record.scope.attributes) == ("shop", "1.2", {"team": "a"})
    assert record.resource["service.name"] == "tested"
    assert (whole.body, whole.severity, whole.trace_id) == ("as an object", 5, span.trace_id)
    assert (failed.trace_id, failed.attributes["exception.type"]) == ("", "ValueError")
    assert failed.attributes["exception.message"] == "mine"
    assert "ValueError: wrong" in failed.attributes["exception.stacktrace"]


def test_a_program_that_sets_its_own_logger_provider_gets_its_records(run_text: RunText, receiver: Receiver) -> None:
    program = run_text("""
        from opentelemetry import _logs
        early = _logs.get_logger("early")
        from opentelemetry.sdk._logs import LoggerProvider
        from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
        memory = InMemoryLogRecordExporter()
        provider = LoggerProvider()
        provider.add_log_record_processor(SimpleLogRecordProcessor(memory))
        _logs.set_logger_provider(provider)
        assert _logs.get_logger_provider() is provider
        early.emit(body="one"); _logs.get_logger("late").emit(body="two")
        assert [data.log_record.body for data in memory.get_finished_logs()] == ["one", "two"]
    """)
    assert not program.stderr
    assert not receiver.logs


def test_records_beyond_the_queue_are_dropped_and_counted(run_text: RunText, receiver: Receiver) -> None:
    run_text(
        """
        from opentelemetry import _logs
        logger = _logs.get_logger("shop")
        for number in range(100): logger.emit(body=number)
        from perfagent.runtime import outbox
        assert outbox.drops == {("log", "queue_full"): 80}, outbox.drops
        """,
        OTEL_BLRP_MAX_QUEUE_SIZE="20",
        OTEL_BSP_SCHEDULE_DELAY="60000",
    )
    assert [record.body for record in receiver.logs] == list(range(20))


def test_with_logs_off_no_record_is_sent(run_text: RunText, receiver: Receiver) -> None:
    run_text(
        """
        from opentelemetry import _logs
        logger = _logs.get_logger("shop")
        assert not logger.enabled()
        logger.emit(body="x")
        """,
        PERFAGENT_LOGS_LEVEL="off",
    )
    assert not receiver.logs


def test_a_forked_child_does_not_send_its_parent_s_records_again(run_text: RunText, receiver: Receiver) -> None:
    run_text(
        """
        import os
        from opentelemetry import _logs
        logger = _logs.get_logger("shop")
        logger.emit(body="parent")
        pid = os.fork()
        if not pid:
            logger.emit(body="child")
            os._exit(0)
        os.waitpid(pid, 0)
        """,
        OTEL_BSP_SCHEDULE_DELAY="60000",
    )
    assert sorted(record.body for record in receiver.logs) == ["child", "parent"]
    pids = {record.body: record.resource["process.pid"] for record in receiver.logs}
    assert pids["child"] != pids["parent"]

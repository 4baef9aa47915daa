"""logging under the agent: every record names its span, severe ones arrive, the program's output stays as it is."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.agent import agent_env

if TYPE_CHECKING:
    from tests.conftest import RunProgram, RunText
    from tests.otlp import LogRecord, Receiver
    from tests.program import Program


def bodies(receiver: Receiver) -> list[object]:
    return [record.body for record in receiver.logs]


FORMAT = "%(otelTraceID)s %(otelSpanID)s %(otelTraceSampled)s %(otelServiceName)s %(message)s"


def test_a_record_names_the_span_it_was_written_in(run_text: RunText, receiver: Receiver) -> None:
    program = run_text(f"""
        import logging
        from opentelemetry import trace
        logging.basicConfig(format="{FORMAT}", level=logging.INFO)
        with trace.get_tracer("shop").start_as_current_span("span"):
            logging.info("inside")
        logging.info("outside")
    """)
    (span,) = receiver.spans
    assert program.stderr.splitlines() == [
        f"{span.trace_id} {span.span_id} True tested inside",
        "0 0 False tested outside",
    ]
    assert not receiver.logs


def test_the_program_s_own_record_factory_keeps_working_and_is_completed_too(run_text: RunText) -> None:
    program = run_text(f"""
        import logging
        class Own(logging.LogRecord):
            def getMessage(self): return "own " + super().getMessage()
        logging.setLogRecordFactory(Own)
        logging.basicConfig(format="{FORMAT}")
        logging.warning("a %s", "b")
        given = {{"otelTraceID": "mine", "otelSpanID": 1, "otelTraceSampled": 2, "otelServiceName": 3}}
        logging.warning("c", extra=given)
    """)
    assert program.stderr.splitlines() == ["0 0 False tested own a b", "mine 1 2 3 own c"]


def test_a_severe_record_is_sent_with_text_place_and_exception(run_text: RunText, receiver: Receiver) -> None:
    run_text("""
        import logging
        from opentelemetry import trace
        log = logging.getLogger("shop.orders")
        def take():
            try: {}["order"]
            except KeyError: log.exception("order %d failed", 7, extra={"user": {"id": 5}, "tags": ("a", "b")})
        with trace.get_tracer("shop").start_as_current_span("span"): take()
        log.critical("down"); log.log(35, "between")
    """)
    record, critical, between = receiver.logs
    (span,) = receiver.spans
    assert (record.body, record.severity, record.severity_text) == ("order 7 failed", 17, "ERROR")
    assert record.scope.name == "shop.orders"
    assert (record.trace_id, record.span_id, record.flags) == (span.trace_id, span.span_id, 1)
    assert record.attributes["code.file.path"].endswith("prog.py")
    assert (record.attributes["code.function.name"], record.attributes["code.line.number"]) == ("take", 7)
    assert record.attributes["exception.type"] == "KeyError"
    assert record.attributes["exception.message"] == "'order'"
    assert record.attributes["exception.stacktrace"].rstrip().endswith("KeyError: 'order'")
    assert (record.attributes["user"], record.attributes["tags"]) == ({"id": 5}, ["a", "b"])
    assert span.start <= record.time <= record.observed_time <= span.end
    assert (critical.severity, critical.severity_text) == (21, "FATAL")
    assert (between.severity, between.severity_text) == (16, "Level 35")


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
        ("off", []),
    ],
)
def test_the_level_says_which_records_are_sent(
    run_text: RunText, receiver: Receiver, level: str, expected: list[str]
) -> None:
    run_text(
        """
        import logging
        logging.basicConfig(level=logging.DEBUG)
        for name in ("debug", "info", "warning", "error"): getattr(logging, name)(name)
        """,
        PERFAGENT_LOGS_LEVEL=level,
    )
    assert bodies(receiver) == expected


def test_what_a_logger_filters_or_disables_is_not_sent(run_text: RunText, receiver: Receiver) -> None:
    run_text("""
        import logging
        class Redact(logging.Filter):
            def filter(self, record):
                record.msg = record.msg.replace("secret", "[gone]")
                return "never" not in record.msg
        handler = logging.StreamHandler(); handler.addFilter(Redact())
        log = logging.getLogger("shop"); log.propagate = False; log.addHandler(handler); log.addFilter(Redact())
        log.error("never"); log.error("a secret")
        lonely = logging.getLogger("lonely"); lonely.addHandler(handler); lonely.error("its secret")
        off = logging.getLogger("off"); off.disabled = True; off.error("off")
    """)
    assert bodies(receiver) == ["a [gone]", "its [gone]"]


PROGRAM = """
    import logging, logging.config, logging.handlers, queue
    print(logging.root.handlers, logging.getLogRecordFactory())
    logging.basicConfig(format="%(levelname)s %(name)s %(funcName)s %(lineno)d %(message)s", level=logging.INFO)
    print(len(logging.root.handlers))
    def work():
        log = logging.getLogger("shop")
        log.info("one %s", 1); log.warning("two"); log.error("stacklevel", stacklevel=2)
        try: 1 / 0
        except ZeroDivisionError: log.exception("three")
    work()
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False, "root": {"handlers": []}})
    print(len(logging.root.handlers))
    waiting = queue.SimpleQueue()
    logging.root.addHandler(logging.handlers.QueueHandler(waiting))
    logging.error("queued %s", "x")
    print(waiting.get().getMessage())
    import inspect
    class Where(logging.Handler):
        def emit(self, record):
            frame, depth = inspect.currentframe(), 0
            while frame and (depth == 0 or frame.f_code.co_filename == logging.__file__):
                frame = frame.f_back
                depth += 1
            print(record.getMessage(), frame.f_code.co_name, frame.f_lineno)
    logging.root.handlers[:] = [Where()]
    def caller(): logging.error("where")
    caller()
    print(inspect.signature(logging.Logger.makeRecord), logging.Logger.callHandlers.__name__)
"""


def test_the_program_s_own_output_is_the_same_as_without_the_agent(run_text: RunText) -> None:
    bare, measured = run_text(PROGRAM, bare=True), run_text(PROGRAM)

    def shown(program: Program) -> list[str]:
        lines = program.stdout.splitlines() + program.stderr.splitlines()
        return [line for line in lines if "0x" not in line]

    assert shown(measured) == shown(bare)


def test_sending_never_recurses_and_never_raises(run_text: RunText, receiver: Receiver) -> None:
    run_text("""
        import logging
        class Chatty:
            def __str__(self):
                logging.getLogger("chatty").error("asked for my text")
                return "chatty"
        class Broken:
            def __str__(self): raise RuntimeError("no text")
        logging.root.addHandler(logging.NullHandler())
        log = logging.getLogger("shop")
        log.error("one", extra={"value": Chatty()})
        log.error("two %s", Broken())
        log.error("three %d", "x")
        log.error(Broken())
        log.error("four", extra={"value": Broken()})
        try: raise type("Silent", (Exception,), {"__str__": Broken.__str__})()
        except Exception: log.exception("five")
    """)
    shop = [record for record in receiver.logs if record.scope.name == "shop"]
    assert [record.body for record in shop][:3] == ["one", "two %s", "three %d"]
    assert "RuntimeError" in str(shop[3].body)
    assert shop[0].attributes["value"] == "chatty"
    assert "RuntimeError" in shop[4].attributes["value"]
    assert "RuntimeError" in shop[5].attributes["exception.message"]


def test_no_object_of_the_program_is_kept_alive(run_text: RunText) -> None:
    program = run_text(
        """
        import gc, logging, weakref
        class Big: pass
        def work():
            big = Big(); kept.append(weakref.ref(big))
            try: raise ValueError(big)
            except ValueError: logging.exception("with %s", big, extra={"big": big, "list": [big]})
        kept = []
        logging.root.addHandler(logging.NullHandler())
        work(); gc.collect()
        print(kept[0]())
        """,
        OTEL_BSP_SCHEDULE_DELAY="60000",
    )
    assert program.stdout == "None\n"


def test_without_correlation_records_stay_as_they_are(run_text: RunText, receiver: Receiver) -> None:
    program = run_text(
        """
        import logging
        class Show(logging.Handler):
            def emit(self, record): print([key for key in vars(record) if key.startswith("otel")])
        logging.root.addHandler(Show())
        logging.error("x")
        """,
        OTEL_PYTHON_LOG_CORRELATION="false",
    )
    assert program.stdout == "[]\n"
    assert bodies(receiver) == ["x"]


def test_a_disabled_instrument_leaves_logging_alone(run_text: RunText, receiver: Receiver) -> None:
    run_text(
        "import logging; logging.error('x'); assert not hasattr(logging.Logger.callHandlers, '__wrapped__')",
        OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="logging",
    )
    assert not receiver.logs


def test_the_last_words_of_a_program_that_dies_are_sent(run_program: RunProgram, receiver: Receiver) -> None:
    code = "import logging; logging.critical('last words'); raise SystemExit(3)"
    program = run_program("perfagent", "run", sys.executable, "-c", code, env=agent_env(receiver))
    assert program.wait() == 3
    record: LogRecord = receiver.logs[0]
    assert record.body == "last words"


def test_what_another_thread_is_about_to_send_when_the_program_ends_is_sent(
    run_text: RunText, receiver: Receiver
) -> None:
    # As OpenTelemetry's handler does: logging ends with a flush in a thread that nobody waits for.
    run_text("""
        import logging, threading, time
        from perfagent.runtime.pipeline import Pipeline
        from opentelemetry import _logs
        store = Pipeline._store

        def slow(self, payload):
            taken.set()
            time.sleep(0.3)
            store(self, payload)

        taken = threading.Event()
        Pipeline._store = slow
        logging.warning("in hand")
        threading.Thread(target=_logs.get_logger_provider().force_flush, daemon=True).start()
        taken.wait()
    """)
    assert bodies(receiver) == ["in hand"]


def test_a_handler_of_opentelemetry_s_own_sends_no_record_a_second_time(run_text: RunText, receiver: Receiver) -> None:
    run_text("""
        import logging
        from opentelemetry import _logs
        from opentelemetry.instrumentation.logging.handler import LoggingHandler
        logging.root.addHandler(LoggingHandler(level=logging.ERROR))
        _logs.get_logger("shop").emit(body="by the API")
        logging.warning("below")
        logging.error("once")
        logging.getLogger("shop").error("once more")
    """)
    assert sorted(map(str, bodies(receiver))) == ["below", "by the API", "once", "once more"]

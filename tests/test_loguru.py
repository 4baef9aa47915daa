"""loguru under the agent: every record names its span, severe ones arrive once, whoever else is told of them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conftest import RunText
    from tests.otlp import Receiver

HEAD = """
import logging, sys
from loguru import logger
from opentelemetry import trace
request = trace.get_tracer("shop").start_as_current_span("request")
logger.remove()
"""


def test_a_record_names_the_span_it_was_written_in(run_text: RunText, receiver: Receiver) -> None:
    program = run_text(HEAD + """
logger.add(sys.stdout, format="{extra[trace_id]} {extra[span_id]} {extra[trace_flags]} {function} {line} {message}")
logger.add(lambda line: print(line, end=""), serialize=True, format="{message}")
def work(): logger.bind(user=7).info("inside {}", 1)
with request: work()
logger.info("outside"); logger.bind(trace_id="mine").info("own")
""")  # fmt: skip
    (span,) = receiver.spans
    inside, serialized, outside, _, own, _ = program.stdout.splitlines()
    assert inside == f"{span.trace_id} {span.span_id} 01 work 10 inside 1"
    told = json.loads(serialized)["record"]["extra"]
    assert told == {"user": 7, "trace_id": span.trace_id, "span_id": span.span_id, "trace_flags": "01"}
    assert outside == "0 0 00 <module> 12 outside"
    assert own == "mine 0 00 <module> 12 own"
    assert not receiver.logs


def test_a_severe_record_is_sent_once_as_the_patchers_leave_it(run_text: RunText, receiver: Receiver) -> None:
    run_text(HEAD + """
def hide(record): record["extra"]["card"] = "[gone]"
logger.configure(handlers=[{"sink": sys.stderr}, {"sink": sys.stdout}], patcher=hide)
def work():
    logger.warning("low stock of {item}", item=5)
    try: {}["order"]
    except KeyError: logger.exception("failed")
    logger.success("quiet"); logger.critical("down")
@logger.catch
def caught(): raise ValueError("why")
with request: work()
caught()
""")  # fmt: skip
    low, failed, down, caught = receiver.logs
    (span,) = receiver.spans
    assert (low.body, low.severity, low.severity_text) == ("low stock of 5", 13, "WARN")
    assert (low.trace_id, low.span_id, low.scope.name) == (span.trace_id, span.span_id, "__main__")
    assert (low.attributes["card"], low.attributes["item"]) == ("[gone]", 5)
    assert (low.attributes["code.function.name"], low.attributes["code.line.number"]) == ("work", 11)
    assert low.attributes["code.file.path"].endswith("prog.py")
    assert (failed.severity_text, failed.attributes["exception.type"]) == ("ERROR", "KeyError")
    assert (down.severity, down.severity_text) == (21, "FATAL")
    assert (caught.attributes["exception.message"], caught.trace_id) == ("why", "")


def test_records_that_pass_to_logging_or_come_from_there_are_sent_once(run_text: RunText, receiver: Receiver) -> None:
    program = run_text(HEAD + """
class Intercept(logging.Handler):
    def emit(self, record): logger.opt(depth=6, exception=record.exc_info).log(record.levelname, record.getMessage())
class Propagate(logging.Handler):
    def emit(self, record): logging.getLogger("propagated").handle(record)
out = logging.getLogger("propagated"); out.propagate = False; out.addHandler(logging.StreamHandler())
logger.add(Propagate(), format="{message}", filter=lambda record: record["message"].startswith("out"))
logger.add(sys.stdout, format="{message}", level="ERROR")
logging.root.addHandler(Intercept())
logger.error("out of loguru")
logging.error("in from logging")
logging.getLogger("quiet").warning("below the sink")
""")  # fmt: skip
    assert program.stdout.splitlines() == ["out of loguru", "in from logging"]
    assert program.stderr.splitlines() == ["out of loguru"]
    assert [record.body for record in receiver.logs] == ["out of loguru", "in from logging", "below the sink"]


def test_the_program_s_own_output_is_the_same_as_without_the_agent(run_text: RunText) -> None:
    text = (
        HEAD
        + """
import inspect
logger.add(sys.stdout, format="{level} {name}:{function}:{line} {message}", colorize=False, backtrace=True)
def work():
    logger.debug("one {}", 1); logger.opt(depth=1).info("caller"); logger.opt(lazy=True).warning("{}", lambda: 2)
    logger.opt(record=True).info("{record[line]}"); logger.log(35, "level"); logger.opt(raw=True).info("raw\\n")
    try: logger.log("NOTHING", "x")
    except ValueError as error: print(error)
    with logger.contextualize(a=1): logger.patch(lambda record: record["extra"].update(b=2)).info("{extra}")
@logger.catch(reraise=False)
def failing(): raise ValueError("why")
work(); failing()
logger.disable("__main__"); logger.error("disabled")
print(inspect.signature(type(logger)._log))
"""
    )
    bare, measured = run_text(text, bare=True).stdout, run_text(text).stdout
    numbers = re.compile(r"\(\d+\)|0x[0-9a-f]+")  # of processes, threads, addresses
    assert numbers.sub("", measured) == numbers.sub("", bare)
    assert "caller" in bare


def test_the_settings_of_logging_hold(run_text: RunText, receiver: Receiver) -> None:
    text = (
        HEAD
        + """
logger.add(sys.stdout, format="{extra} {message}")
with request: logger.info("said"); logger.error("failed")
"""
    )
    program = run_text(text, OTEL_PYTHON_LOG_CORRELATION="false", PERFAGENT_LOGS_LEVEL="info")
    assert program.stdout == "{} said\n{} failed\n"
    assert [record.body for record in receiver.logs] == ["said", "failed"]
    receiver.clear()
    assert "trace_id" in run_text(text, PERFAGENT_LOGS_LEVEL="off").stdout
    assert not receiver.logs

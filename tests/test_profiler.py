"""The always-on profiler: what it tells is where the time went, for whom, and what was done meanwhile."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.agent import agent_env
from tests.otlp import Receiver, Sample, status
from tests.program import clean_environment
from tests.pythons import find, found

if TYPE_CHECKING:
    from tests.conftest import RunProgram, RunText

FAULTS = Path(__file__).parent.parent / "examples" / "known_faults"
pytestmark = pytest.mark.slow

HEAD = """
import asyncio, os, sys, threading, time
from perfagent.profiler import sampling

def begin(rate=0):
    '''The profiler starts when a program has run for a while; here it need not wait. It looks at its usual rate, or
    so often a second: parts of a tenth of a second are hardly longer than what is between two usual looks.'''
    from perfagent import settings
    from perfagent.runtime import outbox
    while outbox.deferred:
        outbox.deferred.pop(0)()
    assert sampling.active is not None
    if rate:
        sampling.active.hurry(rate)

def busy(seconds):
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        sum(range(100))

def nap(seconds):
    time.sleep(seconds)
"""


def total(samples: list[Sample], kind: str, *functions: str, **attributes: str) -> float:
    """Seconds of one kind in functions of these names, with these attributes (`_` for a dot)."""
    wanted = {f"perfagent.{key}": value for key, value in attributes.items()}
    return sum(
        sample.value / 1e9
        for sample in samples
        if sample.kind == kind and sample.runs(*functions) and wanted.items() <= sample.attributes.items()
    )


def run(run_text: RunText, receiver: Receiver, text: str, **env: str) -> list[Sample]:
    run_text(HEAD + text, **env)
    return receiver.samples


def test_cpu_and_wall_time_of_threads_are_what_was_spent(run_text: RunText, receiver: Receiver) -> None:
    slept = run_text(HEAD + """
def worker():
    for _ in range(6):
        busy(0.1)
        began = time.monotonic()
        nap(0.1)
        slept.append(time.monotonic() - began)
slept = []
begin(200)
began = time.monotonic()
threads = [threading.Thread(target=worker, name="worker")]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
lost = time.monotonic() - began - 0.6 - sum(slept)
busy(0.2)
print(sum(slept), max(lost, 0.0))
""").stdout  # fmt: skip
    samples = receiver.samples
    asleep, lost = map(float, slept.split())  # lost: it waited for a core, which may be told of where it waits next
    assert total(samples, "cpu", "busy") == pytest.approx(0.8, rel=0.15)
    assert asleep * 0.85 < total(samples, "wall", "nap") < asleep * 1.15 + lost
    assert total(samples, "cpu", "nap") < 0.1
    assert total(samples, "wall", "nap", state="sleep") > 0.9 * total(samples, "wall", "nap")
    assert total(samples, "wall", "busy", state="sleep") == 0
    assert {sample.attributes["thread.name"] for sample in samples if sample.runs("worker")} == {"worker"}


def test_time_of_asyncio_tasks_is_told_while_they_run_and_while_they_wait(
    run_text: RunText, receiver: Receiver
) -> None:
    samples = run(run_text, receiver, """
async def waits():
    await asyncio.sleep(1.5)
async def works():
    for _ in range(30):
        busy(0.02)
        await asyncio.sleep(0.02)
async def main():
    await asyncio.gather(waits(), works())
begin(200)
asyncio.run(main())
""")  # fmt: skip
    assert total(samples, "cpu", "busy", task="works") == pytest.approx(0.6, rel=0.15)
    assert total(samples, "wall", "waits", task="waits", state="waiting") == pytest.approx(1.5, rel=0.3)
    assert total(samples, "cpu", "waits") == 0
    waiting = [sample for sample in samples if sample.state == "waiting" and sample.runs("waits")]
    assert waiting[0].stack[0].name == "sleep"
    assert [frame.name for frame in waiting[0].stack][-1] == "waits"


def test_bursts_shorter_than_the_switch_interval_are_seen_where_they_run(run_text: RunText, receiver: Receiver) -> None:
    samples = run(run_text, receiver, """
begin()
for _ in range(300):
    busy(0.002)
    nap(0.004)
""")  # fmt: skip
    assert total(samples, "cpu", "busy") > 0.7 * sum(s.value / 1e9 for s in samples if s.kind == "cpu")


def test_the_program_has_its_switch_interval_back_when_the_profiler_stops(run_text: RunText) -> None:
    told = run_text(HEAD + """
before = sys.getswitchinterval()
begin()
busy(0.3)
sampling.stop()
assert sys.getswitchinterval() == before
sampling.start()
busy(0.3)
sys.setswitchinterval(0.02)
sampling.stop()
print(sys.getswitchinterval())
""")  # fmt: skip
    assert told.stdout == "0.02\n"


def test_while_many_spans_are_encoded_the_program_takes_turns_with_it_more_seldom(run_text: RunText) -> None:
    told = run_text(HEAD + """
from perfagent.runtime import outbox
begin()
busy(0.3)
seen = []
share = outbox.shares
outbox.shares = lambda works: (share(works), seen.append((works, round(sys.getswitchinterval() * 1e6))))
from opentelemetry import trace
tracer = trace.get_tracer("test")
for _ in range(1000):
    with tracer.start_as_current_span("work"):
        pass
while len(seen) < 2:
    busy(0.01)
print(seen[:2])
""")  # fmt: skip
    assert told.stdout == "[(True, 1000), (False, 100)]\n"


def test_a_switch_interval_of_the_programs_own_is_left_alone(run_text: RunText) -> None:
    told = run_text(HEAD + """
sys.setswitchinterval(0.02)
begin()
busy(0.3)
print(sys.getswitchinterval())
""")  # fmt: skip
    assert told.stdout == "0.02\n"


def test_a_forked_child_and_the_end_of_the_program_have_its_switch_interval(run_text: RunText) -> None:
    told = run_text(HEAD + """
import atexit
from perfagent.runtime import companions
class Last(companions.Companion):
    def stop(self):
        print("end", sys.getswitchinterval(), flush=True)
before = sys.getswitchinterval()
begin()
companions.all_of_them.append(Last())
busy(0.3)
assert sys.getswitchinterval() != before
child = os.fork()
if not child:
    print("child", sys.getswitchinterval(), flush=True)
    os._exit(0)
os.waitpid(child, 0)
busy(0.3)
""")  # fmt: skip
    assert told.stdout.split() == ["child", "0.005", "end", "0.005", "end", "0.005"]


def test_a_job_shorter_than_the_time_between_two_exports_tells_of_itself_at_its_end(
    run_text: RunText, receiver: Receiver
) -> None:
    samples = run(run_text, receiver, """
until = time.monotonic() + 60
while sampling.active is None and time.monotonic() < until:
    busy(0.1)
busy(0.5)
""", OTEL_METRIC_EXPORT_INTERVAL="60000")  # fmt: skip
    assert total(samples, "cpu", "busy") > 0.3


def test_under_gevent_it_waits_by_pythons_own_locks(run_text: RunText) -> None:
    told = run_text("from gevent import monkey; monkey.patch_all()\n" + HEAD + """
begin()
from perfagent.runtime import notices
from perfagent.runtime.watch import watch
deadline = time.monotonic() + 60
while not sampling.active.window.looks and time.monotonic() < deadline:
    busy(0.05)
    nap(0.05)
assert sampling.active.window.looks
print({type(lock).__module__ for lock in (watch._wake, watch._switch, sampling.active._looking, notices._changing)})
""")  # fmt: skip
    assert told.stdout == "{'_thread'}\n"


def start_fault(name: str, seconds: float, run_program: RunProgram, receiver: Receiver) -> list[Sample]:
    program = run_program(
        *("python", "-m", "perfagent", "run", "--", sys.executable, str(FAULTS / name), str(seconds)),
        env=agent_env(receiver),
    )
    program.check()
    return receiver.samples


def line_of(name: str, text: str) -> int:
    lines = (FAULTS / name).read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def test_the_line_that_takes_the_cpu_of_an_endpoint_is_named_with_its_requests(
    run_program: RunProgram, receiver: Receiver
) -> None:
    samples = start_fault("hot_line.py", 5, run_program, receiver)
    line = line_of("hot_line.py", "THE FAULT")
    report = [sample for sample in samples if sample.kind == "cpu" and sample.endpoint == "GET /report"]
    at_line = [
        sample
        for sample in report
        if any(frame.file.endswith("hot_line.py") and frame.line == line for frame in sample.stack)
    ]
    assert sum(sample.value for sample in at_line) >= 0.8 * sum(sample.value for sample in report) > 0
    traces = {span.trace_id for span in receiver.spans}
    linked = sum(sample.value for sample in at_line if sample.trace_id in traces)
    assert linked >= 0.8 * sum(sample.value for sample in at_line)
    assert not any(sample.runs("rank") for sample in samples if sample.endpoint == "GET /health")


def test_the_lock_that_an_endpoint_waits_for_is_named_and_costs_no_cpu(
    run_program: RunProgram, receiver: Receiver
) -> None:
    samples = start_fault("held_lock.py", 5, run_program, receiver)
    line = line_of("held_lock.py", "return str(PRICES") - 1
    waited = [sample for sample in samples if sample.kind == "lock" and sample.endpoint == "GET /price"]
    assert waited
    assert {(sample.stack[0].name, sample.stack[0].line) for sample in waited} == {("price", line)}
    assert total(samples, "cpu", "price") < 0.2 * total(samples, "lock", "price")
    assert total(samples, "wall", "price", state="lock") == pytest.approx(total(samples, "lock", "price"))


@pytest.mark.parametrize("version", found())
def test_it_tells_the_same_in_every_python(version: str, run_program: RunProgram, receiver: Receiver) -> None:
    program = run_program(
        *("python", "-m", "perfagent", "run", "--", str(find(version)), "-c", HEAD + """
lock = threading.Lock()
def keeps():
    with lock:
        nap(0.6)
def wants():
    with lock:
        pass
begin()
threads = [threading.Thread(target=target) for target in (keeps, wants)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
busy(0.3)
async def child():
    busy(0.3)
asyncio.run(child())
"""),
        env=clean_environment(agent_env(receiver)),
    )  # fmt: skip
    program.check()
    samples = receiver.samples
    assert total(samples, "cpu", "busy") == pytest.approx(0.6, rel=0.2)
    assert total(samples, "lock", "wants") == pytest.approx(0.6, rel=0.3)
    assert total(samples, "wall", "nap", state="sleep") == pytest.approx(0.6, rel=0.3)
    assert total(samples, "cpu", "child") == pytest.approx(0.3, rel=0.3)


def test_a_receiver_that_knows_no_profiles_is_asked_once_and_nothing_is_said(
    run_text: RunText, receiver: Receiver
) -> None:
    receiver.fault = status(404, path="/v1development/profiles")
    program = run_text(HEAD + """
begin()
for _ in range(3):
    busy(0.2)
    time.sleep(1.1)
from perfagent.runtime import outbox
assert not outbox.drops, outbox.drops
assert sampling.active is None
""")  # fmt: skip
    assert "perfagent" not in program.stderr
    asked = [request for request in receiver.requests if request.path == "/v1development/profiles"]
    assert len(asked) == 1


def test_a_forked_child_tells_what_it_does_itself(run_text: RunText, receiver: Receiver) -> None:
    samples = run(run_text, receiver, """
def in_child():
    busy(0.5)
begin()
busy(0.2)
child = os.fork()
if not child:
    in_child()
    sys.exit()
os.waitpid(child, 0)
""")  # fmt: skip
    assert total(samples, "cpu", "in_child") == pytest.approx(0.5, rel=0.3)
    assert total(samples, "cpu", "busy") == pytest.approx(0.7, rel=0.3)


def test_threads_that_die_deep_recursion_and_endless_stacks_stay_within_bounds(
    run_text: RunText, receiver: Receiver
) -> None:
    samples = run(run_text, receiver, """
from perfagent.profiler.sampling import commands, stacks
stacks.MOST_STACKS, stacks.MOST_PLACES = 20, 200
begin()
sampling.active.hurry(200)
sys.setrecursionlimit(20_000)
def deep(left):
    return busy(0.3) if not left else deep(left - 1)
deep(900)
for number in range(60):
    space = {"busy": busy}
    exec(compile(f"def made_{number}(): busy(0.01)\\nmade_{number}()", f"made_{number}", "exec"), space)
for _ in range(200):
    thread = threading.Thread(target=busy, args=(0.001,))
    thread.start()
    thread.join()
assert len(sampling.active.threads) < 10
assert len(sampling.active.stacks._stacks) <= 20 and len(sampling.active.stacks._places) <= 200
""")  # fmt: skip
    deep = [sample for sample in samples if sample.runs("deep")]
    assert deep
    assert {len(sample.stack) for sample in deep} == {129}
    assert {sample.stack[-1].name for sample in deep} == {"…"}


def test_a_hub_can_stop_it_start_it_and_let_it_look_more_often_for_a_while(run_text: RunText) -> None:
    told = run_text(HEAD + """
from perfagent.runtime import outbox
begin()
ask = outbox.commands["profiler"]
print(ask({"rate": 200, "seconds": 1})["rate"])
busy(0.5)
looks = sampling.active.window.looks
deadline = time.monotonic() + 60
while sampling.rate() != 25 and time.monotonic() < deadline:
    time.sleep(0.01)
print(ask(True)["rate"], ask(False)["rate"], sampling.active)
for wrong in (3, {"rate": 0}, {"rate": True}, {"rate": 5, "seconds": 1e9}):
    try:
        ask(wrong)
    except ValueError as error:
        assert "profiler" in str(error)
    else:
        raise AssertionError(wrong)
""")  # fmt: skip
    assert told.stdout.splitlines() == ["200.0", "25.0 0.0 None"]


def test_who_allocates_is_told_on_demand(run_text: RunText, receiver: Receiver) -> None:
    samples = run(run_text, receiver, """
import tracemalloc
from perfagent.runtime import outbox
begin()
outbox.commands["profiler"]({"allocations": True, "seconds": 1})
def hoard():
    return [bytes(1000) for _ in range(5000)]
kept = hoard()
deadline = time.monotonic() + 60
while tracemalloc.is_tracing() and time.monotonic() < deadline:
    time.sleep(0.05)
assert not tracemalloc.is_tracing()
""")  # fmt: skip
    allocated = [sample for sample in samples if sample.kind == "alloc_space"]
    largest = max(allocated, key=lambda sample: sample.value)
    assert largest.unit == "bytes"
    assert 4_000_000 < largest.value < 8_000_000
    assert largest.stack[0].file.endswith("prog.py")


def test_turned_off_it_does_not_exist(run_text: RunText, receiver: Receiver) -> None:
    told = run_text("""
import sys
from perfagent.runtime import outbox
while outbox.deferred:
    outbox.deferred.pop(0)()
print([name for name in sys.modules if name.startswith("perfagent.profiler.sampling")], "profiler" in outbox.commands)
""", PERFAGENT_PROFILER="false")  # fmt: skip
    assert told.stdout == "[] False\n"
    assert not receiver.samples


def test_looking_keeps_nothing_of_the_program_alive(run_text: RunText) -> None:
    told = run_text(HEAD + """
import gc, weakref
gc.disable()
class Thing: pass
def work():
    thing = Thing()
    gone.append(weakref.ref(thing))
    busy(0.05)
gone = []
begin()
sampling.active.hurry(300)
for _ in range(10):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    del thread
busy(0.1)
print(sum(one() is not None for one in gone))
""")  # fmt: skip
    assert told.stdout == "0\n"

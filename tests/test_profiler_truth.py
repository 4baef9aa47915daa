"""What the profiler tells against known amounts: short-lived threads, waiting for locks and for the interpreter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.test_profiler import HEAD, total

if TYPE_CHECKING:
    from tests.conftest import RunText
    from tests.otlp import Receiver

pytestmark = pytest.mark.slow

ONE_WINDOW = {"OTEL_METRIC_EXPORT_INTERVAL": "60000"}


def test_cpu_of_threads_that_end_before_a_look_is_told_where_such_threads_are(
    run_text: RunText, receiver: Receiver
) -> None:
    used = run_text(HEAD + """
def request(part):
    part(0.004)
    used.append(time.thread_time())
def dear(seconds):
    busy(seconds)
def cheap(seconds):
    busy(seconds / 4)
used = []
begin(100)
began = time.process_time()
while len(used) < 500:
    for part in (dear, cheap):
        thread = threading.Thread(target=request, args=(part,))
        thread.start()
        thread.join()
print(sum(used), time.process_time() - began)
""", **ONE_WINDOW).stdout.split()  # fmt: skip
    in_threads, in_all = map(float, used)
    samples = receiver.samples
    whole = sum(sample.value for sample in samples if sample.kind == "cpu") / 1e9
    assert 0.85 * in_threads < whole < 1.1 * in_all
    assert total(samples, "cpu", "request") > 0.7 * in_threads
    assert total(samples, "cpu", "dear") > 2 * total(samples, "cpu", "cheap")


def test_cpu_of_threads_that_nothing_is_known_of_has_a_name_of_its_own(run_text: RunText, receiver: Receiver) -> None:
    used = float(run_text(HEAD + """
import _thread
def unknown():
    busy(0.5)
    used.append(time.thread_time())
used = []
begin(50)
busy(0.1)
_thread.start_new_thread(unknown, ())
while not used:
    nap(0.02)
print(used[0])
""", **ONE_WINDOW).stdout)  # fmt: skip
    named = sum(sample.value for sample in receiver.samples if sample.stack[0].name == "(threads of libraries)")
    assert named / 1e9 == pytest.approx(used, rel=0.25)


def test_what_is_waited_for_a_lock_is_told_of_the_lock_and_its_line(run_text: RunText, receiver: Receiver) -> None:
    waited = float(run_text(HEAD + """
lock = threading.Lock()
def keeps():
    for _ in range(15):
        with lock:
            nap(0.08)
        nap(0.04)
def wants():
    while keeper.is_alive():
        began = time.monotonic()
        lock.acquire()
        waited.append(time.monotonic() - began)
        lock.release()
        busy(0.005)
waited = []
begin(200)
keeper = threading.Thread(target=keeps)
other = threading.Thread(target=wants)
keeper.start()
other.start()
keeper.join()
other.join()
print(sum(waited))
""", **ONE_WINDOW).stdout)  # fmt: skip
    samples = receiver.samples
    assert waited > 0.5
    assert total(samples, "lock", "wants") == pytest.approx(waited, rel=0.25)
    assert total(samples, "wall", "wants", state="lock") == total(samples, "lock", "wants")
    at_lock = {sample.stack[0].name for sample in samples if sample.kind == "lock" and sample.runs("wants")}
    assert at_lock == {"wants"}
    assert total(samples, "lock", "keeps") < 0.15 * waited


def test_threads_that_compete_for_the_interpreter_each_wait_for_as_long_as_the_others_run(
    run_text: RunText, receiver: Receiver
) -> None:
    ran = run_text(HEAD + """
def first():
    busy(1)
    ran.append(time.monotonic() - began)
def second():
    busy(1)
    ran.append(time.monotonic() - began)
ran = []
begin(200)
threads = [threading.Thread(target=target) for target in (first, second)]
began = time.monotonic()
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(*ran)
""", **ONE_WINDOW).stdout.split()  # fmt: skip
    samples = receiver.samples
    for name in ("first", "second"):
        assert total(samples, "cpu", name) == pytest.approx(1, rel=0.15)
        # Who is done first has waited for as long as the other has run meanwhile, the other one as long at most.
        assert 0.4 < total(samples, "gil", name) < 1.4
        assert total(samples, "wall", name) == pytest.approx(float(ran[name == "second"]), rel=0.35)


def test_a_thread_alone_is_not_said_to_wait_for_the_interpreter(run_text: RunText, receiver: Receiver) -> None:
    run_text(HEAD + """
def alone():
    busy(0.6)
begin(200)
alone()
""", **ONE_WINDOW)  # fmt: skip
    assert total(receiver.samples, "cpu", "alone") == pytest.approx(0.6, rel=0.15)
    assert total(receiver.samples, "gil", "alone") < 0.06


@pytest.mark.parametrize(("runs", "waits"), [(0.005, 0.015), (0.03, 0.005), (0.1, 0.1)])
def test_running_and_waiting_for_less_than_the_time_between_two_looks_are_both_told(
    run_text: RunText, receiver: Receiver, runs: float, waits: float
) -> None:
    told = run_text(HEAD + f"""
begin()
ran = slept = 0.0
end = time.monotonic() + 4
while time.monotonic() < end:
    began = time.monotonic()
    busy({runs})
    then = time.monotonic()
    nap({waits})
    ran += then - began
    slept += time.monotonic() - then
print(ran, slept)
""", **ONE_WINDOW).stdout.split()  # fmt: skip
    ran, slept = map(float, told)
    samples = receiver.samples
    whole = ran + slept
    assert total(samples, "wall", "busy") == pytest.approx(ran, abs=0.15 * whole)
    assert total(samples, "wall", "nap") == pytest.approx(slept, abs=0.15 * whole)
    assert total(samples, "cpu", "nap") < 0.15 * total(samples, "cpu", "busy")


def test_without_the_interpreters_lock_what_looks_at_threads_is_off_and_the_doctor_says_so(run_text: RunText) -> None:
    told = run_text("""
import sys
sys._is_gil_enabled = lambda: False
from perfagent.launch import probe
from perfagent.runtime import outbox
while outbox.deferred:
    outbox.deferred.pop(0)()
print([name for name in ("perfagent.profiler.sampling", "perfagent.vitals.blocked") if name in sys.modules])
try:
    outbox.commands["profiler"](True)
except ValueError as error:
    print(error)
print(*probe.report()["problems"])
sys._is_gil_enabled = lambda: True
print(probe.report()["problems"])
""", PERFAGENT_BLOCKED_LOOP="200").stdout.splitlines()  # fmt: skip
    assert told[0] == "[]"
    assert "without the interpreter's lock" in told[1]
    assert told[2:] == [told[1], "[]"]

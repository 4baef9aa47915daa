"""Vital signs: what is reported is what the program itself counts, and the program does not notice."""

from __future__ import annotations

import inspect
import json
import os
import re
import time
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

from tests.agent import agent_env
from tests.otlp import ok, status

if TYPE_CHECKING:
    from types import ModuleType

    from tests.conftest import RunProgram
    from tests.otlp import Point, Receiver

NEWS = "import sqlite3; sqlite3.connect(':memory:').cursor().execute('select 1')\n"
"""Vital signs alone are not worth an export at the end of a short program; a span is."""


def run(run_program: RunProgram, receiver: Receiver, code: str, **env: str) -> Any:
    """Runs the code to its end, and returns what its last line of output holds as JSON."""
    program = run_program("perfagent", "run", "python", "-c", NEWS + code, env=agent_env(receiver, **env))
    return json.loads(program.check().splitlines()[-1])


def last(receiver: Receiver, name: str, pid: int = 0, **attributes: object) -> Point:
    """The newest point of a series (`cpu__mode` stands for cpu.mode)."""
    wanted = {key.replace("__", "."): value for key, value in attributes.items()}
    found = [
        point
        for point in receiver.metric(name)
        if wanted.items() <= point.attributes.items() and pid in (0, point.resource.get("process.pid"))
    ]
    assert found, f"no {name} {wanted}; there are {sorted({point.name for point in receiver.points})}"
    return found[-1]


def value(receiver: Receiver, name: str, pid: int = 0, **attributes: object) -> float:
    found = last(receiver, name, pid, **attributes).value
    assert found is not None
    return found


PROCESS = """
import json, os, resource, threading, time
held = bytearray(os.urandom(1)) * 60_000_000
files = [open('/dev/null') for _ in range(30)]
waiting = threading.Event()
for _ in range(5):
    threading.Thread(target=waiting.wait, daemon=True).start()
end = time.process_time() + 0.6
while time.process_time() < end:
    pass
for _ in range(20):
    time.sleep(0.01)
status = dict(line.split(':', 1) for line in open('/proc/self/status'))
usage = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({
    'user': usage.ru_utime, 'system': usage.ru_stime,
    'resident': int(status['VmRSS'].split()[0]) * 1024, 'virtual': int(status['VmSize'].split()[0]) * 1024,
    'threads': int(status['Threads']), 'descriptors': len(os.listdir('/proc/self/fd')) - 1,
    'voluntary': usage.ru_nvcsw, 'involuntary': usage.ru_nivcsw, 'minor': usage.ru_minflt,
}))
"""


def test_what_is_told_of_the_process_is_what_the_system_told_it(run_program: RunProgram, receiver: Receiver) -> None:
    began = time.monotonic()
    own = run(run_program, receiver, PROCESS)
    elapsed = time.monotonic() - began
    for mode in ("user", "system"):
        assert value(receiver, "process.cpu.time", cpu__mode=mode) == pytest.approx(own[mode], rel=0.3, abs=0.05)
    assert value(receiver, "process.memory.usage") == pytest.approx(own["resident"], rel=0.2)
    assert value(receiver, "process.memory.virtual") == pytest.approx(own["virtual"], rel=0.2)
    assert value(receiver, "process.thread.count") == own["threads"]
    assert 0 <= value(receiver, "process.unix.file_descriptor.count") - own["descriptors"] <= 2  # what we send by
    for kind in ("voluntary", "involuntary"):
        switches = value(receiver, "process.context_switches", process__context_switch__type=kind)
        assert own[kind] <= switches <= 1.5 * own[kind] + 50
    faults = value(receiver, "process.paging.faults", system__paging__fault__type="minor")
    assert own["minor"] <= faults <= 1.5 * own["minor"]
    assert own["user"] <= value(receiver, "process.uptime") <= elapsed
    shares = [point.value for point in receiver.metric("process.cpu.utilization")]
    assert 0 < max(shares) <= 1


@pytest.mark.skipif(not os.path.exists("/proc/self/schedstat"), reason="the kernel does not count it")
def test_waiting_for_a_processor_is_told_in_seconds(run_program: RunProgram, receiver: Receiver) -> None:
    crowd = """
import json, os, time
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
child = os.fork()
end = time.monotonic() + 0.6
while time.monotonic() < end:
    pass
if not child:
    os._exit(0)
os.waitpid(child, 0)
print(json.dumps({'waited': int(open('/proc/self/schedstat').read().split()[1]) / 1e9}))
"""
    waited = run(run_program, receiver, crowd)["waited"]
    assert waited > 0.05, "two that share a processor wait for each other"
    assert value(receiver, "perfagent.cpu.wait") == pytest.approx(waited, rel=0.2, abs=0.1)


def test_the_names_are_those_of_the_semantic_conventions(run_program: RunProgram, receiver: Receiver) -> None:
    run(run_program, receiver, "print(1)")
    points = {point.name: point for point in receiver.points if point.name.startswith(("process.", "cpython."))}
    assert len(points) >= 12
    for name, point in points.items():
        source = inspect.getsource(_semconv(f"metrics.{name.partition('.')[0]}_metrics"))
        documented = re.search(rf' = "{name}"\n"""(.*?)"""', source, re.DOTALL)
        assert documented is not None, name
        kind = {"gauge": "gauge"}.get(point.type, "counter" if point.monotonic else "updowncounter")
        assert f"Instrument: {kind}\nUnit: {point.unit}\n" in documented[1]
        for attribute in point.attributes:
            assert attribute in vars(_semconv(f"attributes.{attribute.partition('.')[0]}_attributes")).values()


def _semconv(module: str) -> ModuleType:
    return import_module(f"opentelemetry.semconv._incubating.{module}")


GARBAGE = """
import gc, json, time
own = [0, 0.0]
def timing(phase, info, began=[0.0]):
    if phase == 'start':
        began[0] = time.perf_counter()
    elif info['generation'] == 2:
        own[0] += 1
        own[1] += time.perf_counter() - began[0]
gc.callbacks.append(timing)
held = [[number] for number in range(100_000)]
for _ in range(7):
    circle = []
    circle.append(circle)
    del circle
    gc.collect()
gc.disable()
print(json.dumps([own, gc.get_stats()]))
"""


def test_collections_are_those_of_gc_get_stats_and_pauses_those_of_a_callback(
    run_program: RunProgram, receiver: Receiver
) -> None:
    (count, seconds), statistics = run(run_program, receiver, GARBAGE)
    for generation, figures in enumerate(statistics):
        for name, key in (
            ("collections", "collections"),
            ("collected_objects", "collected"),
            ("uncollectable_objects", "uncollectable"),
        ):
            assert value(receiver, f"cpython.gc.{name}", cpython__gc__generation=generation) == figures[key]
    pauses = last(receiver, "perfagent.gc.pause", cpython__gc__generation=2)
    assert pauses.count == count == statistics[2]["collections"]
    assert pauses.sum == pytest.approx(seconds, rel=0.3, abs=0.1)
    young = last(receiver, "perfagent.gc.pause", cpython__gc__generation=0)
    assert 0 < young.count <= statistics[0]["collections"]


CACHES = """
import functools, gc, json
from perfagent.runtime import outbox
@functools.lru_cache(maxsize=8)
def squared(number):
    return number * number
@functools.cache
def unbounded(number):
    return number
@functools.lru_cache
def cleared(number):
    return number
@functools.lru_cache
def unused(number):
    return number
def passing(number):
    @functools.lru_cache
    def inner(number):
        return number
    inner(number), inner(number)
    return inner
for number in range(100):
    squared(number % 10), squared(3), unbounded(number % 4)
for number in range(30):
    cleared(1)
    if number == 20:
        hits_before = cleared.cache_info().hits
        cleared.cache_clear()
made = [passing(number) for number in range(30)]
outbox.flush(60)  # they are known before they go
del made
gc.collect()
total = hits_before + cleared.cache_info().hits
print(json.dumps([squared.cache_info(), unbounded.cache_info(), total]))
"""


def test_hits_misses_and_sizes_of_lru_caches_are_those_of_cache_info(
    run_program: RunProgram, receiver: Receiver
) -> None:
    bounded, unbounded, cleared = run(run_program, receiver, CACHES, OTEL_METRIC_EXPORT_INTERVAL="100")

    def figures(function: str, *names: str) -> list[float]:
        labels = {"cache__name": f"__main__.{function}", "cache__system": "lru_cache"}
        return [value(receiver, f"perfagent.cache.{name}", **labels) for name in names]

    assert figures("squared", "hits", "misses", "max_size", "size") == bounded
    assert figures("unbounded", "hits", "misses", "size") == [unbounded[0], unbounded[1], unbounded[3]]
    assert figures("passing.<locals>.inner", "hits", "misses", "size") == [30, 30, 0]  # all thirty are gone
    names = {point.attributes["cache.name"] for point in receiver.metric("perfagent.cache.hits")}
    assert "__main__.unused" not in names
    limited = {point.attributes["cache.name"] for point in receiver.metric("perfagent.cache.max_size")}
    assert "__main__.unbounded" not in limited
    assert cleared == 28


def test_a_cleared_cache_goes_on_counting_from_what_it_had(run_program: RunProgram, receiver: Receiver) -> None:
    code = """
import functools
from perfagent.runtime import outbox
@functools.lru_cache
def f(x): return x
for _ in range(11): f(1)
outbox.flush(60)
f.cache_clear()
for _ in range(6): f(1)
print(f.cache_info().hits)
"""
    assert run(run_program, receiver, code, OTEL_METRIC_EXPORT_INTERVAL="100") == 5
    hits = [point.value for point in receiver.metric("perfagent.cache.hits")]
    assert hits == sorted(hits)
    assert (hits[0], hits[-1]) == (10, 15)


def test_more_caches_than_can_be_told_apart_are_one(run_program: RunProgram, receiver: Receiver) -> None:
    code = """
import functools
for number in range(130):
    names = {}
    exec(f'def f{number}(x): return x', names)
    globals()[f'f{number}'] = cached = functools.lru_cache(names[f'f{number}'])
    cached(1), cached(1), cached(1)
print(1)
"""
    run(run_program, receiver, code)
    found = {point.attributes["cache.name"]: point.value for point in receiver.metric("perfagent.cache.hits")}
    assert len(found) == 101
    assert found.pop("other") == 30 * 2
    assert set(found.values()) == {2}


SEMANTICS = """
import copy, functools, inspect, pickle, types
@functools.lru_cache(maxsize=5, typed=True)
def f(x, *, y=1):
    'Doc.'
    return x
class Point:
    @functools.lru_cache
    def method(self, x): return (self.__class__.__name__, x)
    @functools.cached_property
    def once(self): return 3
f(1), f(1.0), f(1)
print(isinstance(f, functools._lru_cache_wrapper), type(f).__name__, f.cache_info(), f.cache_parameters(), f.__doc__)
print(pickle.loads(pickle.dumps(f)) is f, pickle.loads(pickle.dumps(functools.lru_cache)) is functools.lru_cache)
print(inspect.signature(f), inspect.signature(functools.lru_cache), inspect.signature(functools.cache))
print(functools.lru_cache.__module__, functools.lru_cache.__qualname__, type(functools.lru_cache) is types.FunctionType)
print(copy.deepcopy(f) is f, f.__wrapped__.__name__, Point().method(2), Point().once, functools.lru_cache(len)('abc'))
cache = functools.lru_cache
for wrong in (lambda: cache('many'), lambda: cache(1, 2, 3), lambda: cache(5)()):
    try:
        wrong()
    except TypeError as error:
        print('TypeError')
f.cache_clear()
print(f.cache_info())
"""


def test_lru_cache_stays_what_it_is(run_program: RunProgram, receiver: Receiver) -> None:
    bare = run_program("python", "-c", SEMANTICS).check()
    assert run_program("perfagent", "run", "python", "-c", SEMANTICS, env=agent_env(receiver)).check() == bare
    assert "CacheInfo(hits=1, misses=2, maxsize=5, currsize=2)" in bare


def test_a_forked_child_reports_its_own_figures(run_program: RunProgram, receiver: Receiver) -> None:
    code = """
import functools, gc, json, os, sys, time
@functools.lru_cache
def f(x): return x
for _ in range(41): f(1)
for _ in range(9): gc.collect()
end = time.process_time() + 0.3
while time.process_time() < end: pass
child = os.fork()
if not child:
    f(1), f(1), f(2), gc.collect(), gc.disable()
    sqlite3.connect(':memory:').cursor().execute('select 1')
    sys.exit()
os.waitpid(child, 0)
gc.disable()
print(json.dumps([os.getpid(), child, gc.get_stats()[2]['collections']]))
"""
    parent, child, collections = run(run_program, receiver, code)
    assert value(receiver, "perfagent.cache.hits", parent) == 40
    assert value(receiver, "perfagent.cache.hits", child) == 2
    assert value(receiver, "perfagent.cache.misses", child) == 1
    assert value(receiver, "cpython.gc.collections", parent, cpython__gc__generation=2) == collections
    assert value(receiver, "cpython.gc.collections", child, cpython__gc__generation=2) == 1
    cpu = {pid: value(receiver, "process.cpu.time", pid, cpu__mode="user") for pid in (parent, child)}
    assert cpu[child] < cpu[parent] / 2
    assert value(receiver, "process.uptime", child) < value(receiver, "process.uptime", parent)


BLOCKED = """
import asyncio, sys, time
async def main():
    await asyncio.sleep(0.4)
    time.sleep(0.9)
    await asyncio.sleep(0.3)
    print(len(asyncio.all_tasks()))
if sys.argv[1:] == ['uvloop']:
    import uvloop
    uvloop.run(main())
else:
    asyncio.run(main())
"""
LOOPS = [
    "asyncio",
    pytest.param("uvloop", marks=pytest.mark.skipif(find_spec("uvloop") is None, reason="uvloop is not installed")),
]


@pytest.mark.slow
@pytest.mark.parametrize("kind", LOOPS)
def test_a_blocked_event_loop_shows_as_lag_and_as_stalled_while_it_lasts(
    run_program: RunProgram, receiver: Receiver, kind: str
) -> None:
    env = agent_env(receiver, OTEL_METRIC_EXPORT_INTERVAL="100")
    program = run_program("perfagent", "run", "python", "-c", NEWS + BLOCKED, kind, env=env)
    assert program.check() == "1\n"  # ours is no task
    lag = last(receiver, "perfagent.eventloop.lag")
    above = sum(lag.buckets[lag.bounds.index(0.25) + 1 :])
    assert 1 <= above <= 2  # a busy machine may keep the loop from its core for so long, too
    assert lag.max is not None
    assert lag.max > 0.5
    assert lag.count >= 2
    stalled = [point.value for point in receiver.metric("perfagent.eventloop.stalled")]
    assert max(stalled) > 0.3
    assert min(stalled) == 0


@pytest.mark.slow
def test_an_idle_loop_is_woken_four_times_a_second_at_most(run_program: RunProgram, receiver: Receiver) -> None:
    code = """
import asyncio
async def main():
    selector = asyncio.get_running_loop()._selector
    select, woken = selector.select, []
    selector.select = lambda timeout=None: woken.append(1) or select(timeout)
    await asyncio.sleep(1.5)
    print(len(woken))
asyncio.run(main())
"""
    assert 3 <= run(run_program, receiver, code) <= 1.5 * 4 + 2  # two are the program's own


@pytest.mark.slow
def test_an_event_loop_runs_and_closes_in_development_mode_as_without_us(
    run_program: RunProgram, receiver: Receiver
) -> None:
    code = """
import asyncio, gc, weakref
async def main(seconds):
    await asyncio.sleep(seconds)
    return len(asyncio.all_tasks()), asyncio.get_running_loop().get_debug()
print(asyncio.run(main(0.6)))
loop = asyncio.new_event_loop()
for _ in range(50):
    loop.run_until_complete(main(0))
loop.call_soon(loop.stop)
loop.run_forever()
loop.close()
for wrong in (loop.run_forever, lambda: loop.run_until_complete(None)):
    try:
        wrong()
    except (RuntimeError, TypeError) as error:
        print(type(error).__name__, error)
async def nested():
    asyncio.get_running_loop().run_forever()
try:
    asyncio.run(nested())
except RuntimeError as error:
    print(error)
gone = weakref.ref(loop)
del loop, wrong
gc.collect()
print(gone())
"""
    python = ("python", "-X", "dev", "-W", "error", "-c", code)
    bare = run_program(*python).check()
    program = run_program("perfagent", "run", *python, env=agent_env(receiver))
    assert program.check() == bare
    assert program.stderr == ""
    assert bare.endswith("None\n")


def test_a_loop_with_a_clock_of_its_own_is_left_alone(run_program: RunProgram, receiver: Receiver) -> None:
    code = """
import asyncio
class Warped(asyncio.SelectorEventLoop):
    ahead = 0.0
    def time(self):
        return super().time() + self.ahead
async def main(loop):
    loop.ahead += 1_000_000
    await asyncio.sleep(0.3)
    return len(loop._scheduled)
loop = Warped()
print(loop.run_until_complete(main(loop)))
loop.close()
"""
    assert run(run_program, receiver, code) == 0
    assert receiver.metric("perfagent.eventloop.lag") == []


def test_vital_signs_alone_are_no_reason_to_send_at_the_end_of_a_short_program(
    run_program: RunProgram, receiver: Receiver
) -> None:
    code = "import asyncio, gc, functools; gc.collect(); asyncio.run(asyncio.sleep(0.4)); functools.cache(len)('a')"
    env = agent_env(receiver, OTEL_METRIC_EXPORT_INTERVAL="60000")  # a busy machine may take a second for it
    run_program("perfagent", "run", "python", "-c", code, env=env).check()
    assert receiver.requests == []


def test_vitals_can_be_switched_off(run_program: RunProgram, receiver: Receiver) -> None:
    run(run_program, receiver, "print(1)", PERFAGENT_VITALS="false")
    assert {point.scope.name for point in receiver.points} <= {"perfagent", "perfagent.db", "perfagent.deprecations"}
    code = "import functools\nf = functools.lru_cache(len); f('a'), f('a')\nprint(1)"
    run(run_program, receiver, code, PERFAGENT_LRU_CACHES="false")
    assert receiver.metric("cpython.gc.collections")
    assert receiver.metric("perfagent.cache.hits") == []


def test_the_namespace_is_the_prefix_of_our_own_names(run_program: RunProgram, receiver: Receiver) -> None:
    run(run_program, receiver, "import gc; gc.collect(); print(1)", PERFAGENT_NAMESPACE="shop")
    assert receiver.metric("shop.gc.pause")
    assert receiver.metric("perfagent.gc.pause") == []


@pytest.mark.slow
def test_what_was_exported_and_what_was_lost_add_up_to_what_was_made(
    run_program: RunProgram, receiver: Receiver
) -> None:
    code = """
import time
cursor = sqlite3.connect(':memory:').cursor()
for number in range(120):
    cursor.execute('select 1')
    time.sleep(0.02)
print(121)
"""
    env = agent_env(receiver, OTEL_METRIC_EXPORT_INTERVAL="200", PERFAGENT_STRICT="false")
    receiver.fault = status(400)
    program = run_program("perfagent", "run", "python", "-c", NEWS + code, env=env)
    receiver.wait_for_requests(3, where=lambda request: request.path == "/v1/traces")
    receiver.fault = ok()
    made = int(program.check())
    lost = value(receiver, "perfagent.telemetry.dropped", signal="span", reason="rejected")
    assert lost > 0
    assert lost + len(receiver.spans) == made
    exported = value(receiver, "perfagent.telemetry.exported", signal="span")
    assert 0 < exported <= len(receiver.spans)


def test_a_failure_of_our_own_is_exported_by_its_place(run_program: RunProgram, receiver: Receiver) -> None:
    code = """
from perfagent.runtime import guard
for _ in range(3):
    try:
        raise ValueError('made up')
    except ValueError:
        guard.failed('somewhere')
print(1)
"""
    run(run_program, receiver, code, PERFAGENT_STRICT="false")
    assert value(receiver, "perfagent.internal.errors", place="somewhere") == 3


@pytest.mark.slow
def test_the_sdk_pipeline_tells_the_same_vital_signs(run_program: RunProgram, receiver: Receiver) -> None:
    code = """
import asyncio, functools, gc
f = functools.lru_cache(lambda x: x)
f('a'), f('a'), gc.collect()
asyncio.run(asyncio.sleep(0.6))
gc.disable()
print(gc.get_stats()[2]['collections'])
"""
    names: dict[str, set[tuple[str, str, str]]] = {}
    for pipeline in ("lean", "sdk"):
        receiver.clear()
        collections = run(run_program, receiver, code, PERFAGENT_PIPELINE=pipeline, OTEL_METRIC_EXPORT_INTERVAL="200")
        vitals = [point for point in receiver.points if point.scope.name == "perfagent.vitals"]
        names[pipeline] = {(point.name, point.unit, point.type) for point in vitals}
        assert value(receiver, "cpython.gc.collections", cpython__gc__generation=2) == collections
        assert last(receiver, "perfagent.gc.pause", cpython__gc__generation=2).count >= 1
    assert names["sdk"] == names["lean"]

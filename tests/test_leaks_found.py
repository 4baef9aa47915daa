"""How leaks are looked for: names on the way, growth that is one, and programs that are not disturbed."""

from __future__ import annotations

import sys
from random import Random
from textwrap import dedent
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from perfagent.profiler.leaks import census
from perfagent.profiler.leaks.growth import NEEDED, Growth
from perfagent.profiler.leaks.requests import Requests
from tests.agent import agent_env

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.conftest import RunProgram, RunText
    from tests.otlp import Receiver

WALK = """
    import collections, functools, json
    from perfagent.profiler.leaks import names, places, walk

    plain = dict.fromkeys(range(2000), "x")

    class Bus:
        shared = [()] * 3000

        def __init__(self):
            self.listeners = collections.defaultdict(list)
            self.listeners["a"].extend(range(1500))

    class Slotted:
        __slots__ = ("queue",)

    class Registry(dict):
        def __init__(self):
            self.more = [0] * 1600

    def made():
        hidden = [0] * 1700
        def add(one):
            hidden.append(one)
        return add

    def defaults(one, known=dict.fromkeys(range(1800))):
        pass

    @functools.lru_cache(maxsize=None)
    def cached(number):
        return [number]

    def noted():
        pass

    class Proxy:
        def __getattribute__(self, name):
            raise SystemExit("the program's code was run: " + name)
        def __len__(self):
            raise SystemExit("the program's code was run")
        __eq__ = __hash__ = __bool__ = __iter__ = __sizeof__ = __len__

    bus, slotted, registry, add, proxy = Bus(), Slotted(), Registry(), made(), Proxy()
    slotted.queue = collections.deque(range(1900))
    proxies = [proxy] * 2100
    noted.cache = dict.fromkeys(range(2200))
    for number in range(2300):
        cached(number)
    found = {}

    def visit(node, kind, length):
        steps, place = node.way()
        where = places.assigned(place) if place else None
        found[names.text(steps)] = [kind, length, where and where[1]]

    walking = walk.Walk(visit, (["__main__"], 1), least=1500)
    assert not walking.advance(lambda: False)
    walking.close()
    print(json.dumps(found))
"""


def test_each_container_that_a_module_leads_to_has_its_name_and_its_line(run_text: RunText) -> None:
    import json

    found = json.loads(run_text(WALK, bare=True).stdout)
    lines = dedent(WALK).splitlines()

    def line(text: str) -> int:
        return next(number for number, one in enumerate(lines, 1) if text in one)

    assert found == {
        "__main__.plain": ["dict", 2000, line("plain = ")],
        "__main__.Bus.shared": ["list", 3000, line("shared = ")],
        "__main__.bus.listeners[…]": ["list", 1500, line("self.listeners = ")],
        "__main__.slotted.queue": ["deque", 1900, line("class Slotted")],
        "__main__.registry.more": ["list", 1600, line("self.more = ")],
        "__main__.add.hidden": ["list", 1700, line("hidden = ")],
        "__main__.defaults.(defaults)": ["dict", 1800, line("def defaults")],
        "__main__.noted.cache": ["dict", 2200, line("def noted")],
        "__main__.proxies": ["list", 2100, line("proxies = ")],
        "__main__.cached": ["dict", 2300, None],
    }


LONG = 280
"""Seconds after which a program is given up that ends as soon as its leak is found."""


def run(program: RunProgram, receiver: Receiver, folder: Path, text: str) -> str:
    """What a program says that looks for leaks all the time."""
    path = folder / "prog.py"
    path.write_text(dedent(text))
    env = agent_env(receiver, PERFAGENT_LEAK_INTERVAL="0.2", PYTHONWARNINGS="ignore")
    return program("perfagent", "run", sys.executable, str(path), env=env).check(LONG)


def paced(values: Iterable[float]) -> float | None:
    growth = Growth()
    for number, value in enumerate(values):
        growth.add(number * 60.0, value)
    return growth.pace()


def test_a_leak_is_growth_and_its_pace_is_told() -> None:
    random = Random(1)
    assert paced(100 + 10 * step for step in range(NEEDED)) == pytest.approx(10 / 60)
    noisy = [100 + 10 * step + random.uniform(-4, 4) for step in range(20)]
    assert paced(noisy) == pytest.approx(10 / 60, rel=0.2)


def test_what_is_too_short_fills_up_falls_or_comes_by_chance_is_none() -> None:
    random = Random(2)
    assert paced(100 + 10 * step for step in range(NEEDED - 1)) is None
    assert paced([7.0] * 20) is None
    assert paced(1000 * (1 - 0.6**step) for step in range(20)) is None, "a cache that fills"
    assert paced(min(step * 100, 800) for step in range(20)) is None, "a cache that is full"
    assert paced(step % 8 * 100 for step in range(24)) is None, "a list that is emptied"
    chance = sum(paced(random.uniform(0, 100) for _ in range(20)) is not None for _ in range(300))
    assert chance <= 3


def test_a_leak_shows_through_after_a_fall() -> None:
    values = [1000.0, 1010, 1020, 0, *(float(10 * step) for step in range(1, NEEDED + 1))]
    assert paced(values) == pytest.approx(10 / 60)


@pytest.mark.slow
def test_a_million_objects_are_not_asked_for_at_once_and_a_slice_is_short(run_text: RunText) -> None:
    program = run_text(
        """
        import gc, time
        held = [[number] for number in range(1_000_000)]
        gc.collect()
        began = time.thread_time()
        gc.collect()
        full = time.thread_time() - began
        from perfagent.profiler.leaks import walk
        from perfagent.profiler.leaks.census import Census
        assert Census().objects() is None
        walking = walk.Walk(lambda node, kind, length: None, least=32)
        longest, more = 0.0, True
        while more:
            began = time.thread_time()
            more = walking.advance(lambda: time.thread_time() - began > 0.001)
            longest = max(longest, time.thread_time() - began)
        print(full, longest)
        """,
        bare=True,
    )
    full, longest = map(float, program.stdout.split())
    assert longest < full / 4, "the program is stopped for far less than by the garbage collector"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("made", "asked"),
    [
        ("[Slotted() for _ in range(600_000)]", "census.take(set(), True), census.take(set(), True)"),
        ("off(), [[] for _ in range(1_000_000)]", "instances('app.Order', 16)"),
        ("filled(lru_cache(10_000_000)(lambda number: (number,)))", "walked()"),
        ("{'all': filled(defaultdict(list).__getitem__)}", "objects.sampled(held, 'dict')"),
    ],
    ids=["small-objects", "no-collector", "large-lru-cache", "large-subclass"],
)
def test_what_is_large_stops_the_program_for_far_less_than_its_collection(
    run_text: RunText, made: str, asked: str
) -> None:
    program = run_text(
        f"""
        import gc, time
        from collections import defaultdict
        from functools import lru_cache
        from perfagent.profiler.leaks import objects, walk
        from perfagent.profiler.leaks.census import Census, instances

        class Slotted:
            __slots__ = ("value",)

        def off():
            gc.collect()
            gc.disable()

        def filled(function):
            for number in range(600_000):
                function(number)
            return getattr(function, "__self__", function)

        def walked():
            walking = walk.Walk(lambda node, kind, length: None, (["__main__"], 1), least=32)
            while walking.advance(lambda: True):
                pass

        census = Census()
        held = {made}
        if gc.isenabled():
            gc.collect()
        if {asked!r}.startswith("census"):
            census.objects()  # finds out how small they are
        began = time.thread_time()
        {asked}
        took = time.thread_time() - began
        began = time.thread_time()
        gc.collect()
        print(time.thread_time() - began, took)
        """,
        bare=True,
    )
    full, took = map(float, program.stdout.split())
    assert took < full / 2


def test_nobody_counts_objects_where_nobody_knows_how_many_there_are(run_text: RunText) -> None:
    program = run_text(
        """
        from perfagent.profiler.leaks.census import Census
        print(Census().objects() is None)
        """,
        bare=True,
        PYTHONMALLOC="malloc",
    )
    assert program.stdout == "True\n"


def test_one_slow_census_ends_no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    blocks = sys.getallocatedblocks()
    monkeypatch.setattr(census, "thread_time", lambda: clock.append(clock[-1] + took) or clock[-2])
    monkeypatch.setattr(census, "MANY", 100)
    monkeypatch.setattr(census, "LONGEST", 1.0)
    counting = census.Census()
    asked = []
    for rate in (1e-9, 1e-9, 4e-8, 1e-9, 4e-8, 4e-8, 1e-9):
        took = rate * blocks
        asked.append(counting.rate <= census.FIRST_RATE)
        counting.objects()
    assert asked == [True] * 6 + [False]


def test_the_cache_of_compiled_patterns_is_no_leak(run_text: RunText) -> None:
    program = run_text(
        """
        import re
        from perfagent.profiler.leaks import Leaks

        leaks, grown = Leaks(60.0, False, "test"), []
        for look in range(5):
            for number in range(60):
                grown.append(re.compile(f"{look} {number}"))
            leaks._advance()
            while leaks._walk is not None:
                leaks._advance()
        print("__main__.grown" in leaks.suspects, [name for name in leaks.suspects if name.startswith("re._cache")])
        """,
        bare=True,
    )
    assert program.stdout == "True []\n"


def test_what_was_made_last_is_looked_at_first(run_text: RunText) -> None:
    program = run_text(
        """
        import gc
        from perfagent.profiler.leaks.census import instances

        class Order:
            pass

        gc.collect()
        held = [Order() for _ in range(100)]
        print(instances("__main__.Order", 3) == held[:-4:-1])
        """,
        bare=True,
    )
    assert program.stdout == "True\n"


def test_a_look_at_requests_may_end_in_the_middle_of_one() -> None:
    class Ending(Requests):
        """The watching thread ends it right after a request has asked for the container."""

        @property  # type: ignore[override]
        def container(self) -> list[int] | None:
            return self.held.pop()

        @container.setter
        def container(self, value: list[int]) -> None:
            self.held = [None, value]

    span: Any = SimpleNamespace(method="GET", route="/orders")
    looks = Ending([1, 2], list.__len__)
    looks._began(span)
    looks.held = [None, [1, 2, 3]]
    looks._ends(span)
    assert looks.alone == {"GET /orders": [1]}


@pytest.mark.slow
def test_a_chain_that_no_container_holds_is_named_by_its_class(
    run_program: RunProgram, receiver: Receiver, tmp_path: Path
) -> None:
    run(
        run_program,
        receiver,
        tmp_path,
        """
        import sys, time

        class Link:
            def __init__(self, below, text):
                self.below = below
                self.text = text

        last = None

        def work(seconds):
            global last
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                for number in range(10):
                    last = Link(last, f"{number} " * 50)
                time.sleep(0.002)
                from perfagent.runtime import outbox
                report = outbox.reports.get("leaks")
                if report and "__main__.Link" in report()["explained"]:
                    return
            sys.exit("not within the time")

        work(200)
        while last is not None:
            last = last.below
        """,
    )
    told = [one for one in receiver.logs if one.event_name == "perfagent.memory_leak"]
    (one,) = {one.attributes["perfagent.notice.subject"]: one for one in told}.values()
    assert one.attributes["perfagent.memory_leak.holder"] == "__main__.Link"
    assert one.attributes["perfagent.memory_leak.kind"] == "type"
    assert one.attributes["code.line.number"] == 16
    assert one.attributes["code.function.name"] == "work"


@pytest.mark.slow
def test_a_program_that_traces_by_itself_or_has_no_collector_is_not_disturbed(
    run_program: RunProgram, receiver: Receiver, tmp_path: Path
) -> None:
    text = """
        import gc, sys, time, tracemalloc, weakref
        mode = %r
        if mode == "traces":
            tracemalloc.start(3)
        else:
            gc.disable()
            gc.freeze()
        held = []
        class Thing:
            pass
        gone = []
        end = time.monotonic() + 200
        while time.monotonic() < end:
            thing = Thing()
            thing.text = str(time.time()) * 100
            held.append(thing)
            other = Thing()
            reference = weakref.ref(other)
            del other
            gone.append(reference() is None)
            time.sleep(0.002)
            from perfagent.runtime import outbox
            report = outbox.reports.get("leaks")
            if report and report()["explained"]:
                break
        else:
            sys.exit("no growth was found")
        assert all(gone)
        if mode == "traces":
            assert tracemalloc.is_tracing() and tracemalloc.get_traceback_limit() == 3
            assert tracemalloc.get_object_traceback(held[0].text) or sys.version_info < (3, 12)
        else:
            assert not tracemalloc.is_tracing() and not gc.isenabled() and gc.get_freeze_count()
        print(report()["growing"])
        """
    for mode in ("traces", "frozen"):
        assert "'__main__.held'" in run(run_program, receiver, tmp_path, text % mode)


@pytest.mark.slow
def test_a_forked_child_looks_for_leaks_of_its_own(run_program: RunProgram, receiver: Receiver, tmp_path: Path) -> None:
    said = run(
        run_program,
        receiver,
        tmp_path,
        """
        import os, sys, time
        held = []
        def work(seconds, until):
            end = time.monotonic() + seconds
            from perfagent.runtime import outbox
            while time.monotonic() < end:
                held.append(bytes(1000))
                time.sleep(0.002)
                report = outbox.reports.get("leaks")
                if report and until(report()):
                    return
            sys.exit("not within the time")
        work(90, lambda report: report["looks"] >= 3)
        child = os.fork()
        from perfagent.runtime import outbox
        if not child:
            assert outbox.reports["leaks"]()["looks"] <= 1
            work(100, lambda report: "__main__.held" in report["growing"])
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        work(100, lambda report: "__main__.held" in report["growing"])
        print("both")
        """,
    )
    assert "both" in said


HOSTILE = """
    import gc, sys, types

    def grow(phase, info):
        if phase == "start" and len(sys.modules) < 3000:
            sys.modules[f"made_{len(sys.modules)}"] = types.ModuleType("made")

    def refuse(self, *arguments, **options):
        raise SystemExit("the program's code was run")

    class Meta(type):
        __hash__ = None
        __eq__ = __getattribute__ = __instancecheck__ = __subclasscheck__ = __repr__ = refuse

    class Hostile(metaclass=Meta):
        pass

    class Entries(dict):
        __len__ = __iter__ = __bool__ = keys = values = items = __getitem__ = __contains__ = __reversed__ = refuse
        __hash__ = __eq__ = __repr__ = __getattribute__ = __sizeof__ = refuse

    class Rows(list):
        __len__ = __iter__ = __bool__ = __getitem__ = __contains__ = __reversed__ = refuse
        __hash__ = __eq__ = __repr__ = __getattribute__ = __sizeof__ = refuse

    class Lazy(types.ModuleType):
        __getattribute__ = refuse

    class Odd:
        pass

    Odd.__module__ = 5
    entries, rows, plain, odd, deep = Entries(), Rows(), [], [Odd() for _ in range(1600)], []
    for number in range(3000):
        dict.__setitem__(entries, number, [number])
        list.append(rows, Hostile())
        plain.append(Hostile())
    for _ in range(50_000):
        deep = [deep]
    large = [b"x" * 100_000_000] + [None] * 1999
    sys.modules["lazy"], sys.modules["nothing"] = Lazy("lazy"), None
    globals()["\\udcff\\ud800"] = [1] * 2500
    gc.callbacks.append(grow)
    gc.set_threshold(10)

    from perfagent.profiler.leaks import names, objects, places, references, walk
    from perfagent.profiler.leaks.census import Census

    found = {}

    def visit(node, kind, length):
        steps, place = node.way()
        if place is not None:
            places.assigned(place)
        entry, size = objects.sampled(node.found, kind)
        found[names.text(steps)] = [kind, length, objects.limit_of(node.found, node.chain()[-3:-1]), entry]

    for _ in range(3):
        walking = walk.Walk(visit, least=1500)
        while walking.advance(lambda: False):
            pass
        counts, _others = Census().take(walking.visited, True)
        walking.close()
    gc.callbacks.clear()
    gc.set_threshold(700, 10, 10)
    print(sorted(name for name in found if name.startswith("__main__")), counts["__main__.Hostile"])
    print(found["__main__.entries"], found["__main__.rows"], found["__main__.plain"])
    for name in ("Hostile", "Entries", "Rows"):
        print([way["path"] for way in references.command(name)["paths"]])
"""


def test_classes_containers_and_modules_that_raise_when_they_are_asked_anything_are_looked_at_all_the_same(
    run_text: RunText,
) -> None:
    said = run_text(HOSTILE, bare=True).stdout.splitlines()
    names, values, hostile, entries, rows = said
    for name in ("entries", "rows", "plain", "odd", "large"):
        assert f"'__main__.{name}'" in names
    assert names.endswith(" 6000")
    assert values == (
        "['dict', 3000, None, 'list'] ['list', 3000, None, '__main__.Hostile'] ['list', 3000, None, '__main__.Hostile']"
    )
    assert "__main__.rows[…]" in hostile
    assert "__main__.plain[…]" in hostile
    assert entries == "['__main__.entries']"
    assert rows == "['__main__.rows']"

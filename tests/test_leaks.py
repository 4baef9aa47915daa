"""What a program keeps more and more of is named: what holds it, the line that makes it, the endpoint; and nothing else
is.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.agent import agent_env

if TYPE_CHECKING:
    from tests.conftest import RunProgram
    from tests.otlp import Receiver

QUICK = {"PERFAGENT_LEAK_INTERVAL": "0.2"}
PREFIX = "perfagent.memory_leak."

KEEPERS = """
    import collections, functools, gc, sys, threading, time

    held = []                                   # leaks bytes
    bounded = {}                                # is full after a while
    ring = collections.deque(maxlen=100_000)    # has a bound that it does not reach here
    saw = {}                                    # is emptied now and then

    class Limited:
        def __init__(self):
            self.maxsize = 1_000_000
            self.entries = {}

    limited = Limited()                         # tells its bound

    @functools.lru_cache(maxsize=1_000_000)
    def remembered(number):
        return str(number)

    def registry():
        listeners = []                          # leaks closures
        def listen(listener):
            listeners.append(listener)
        return listen

    listen = registry()

    def keep(number):
        held.append(bytes(1000) + str(number).encode())

    def subscribe(number):
        listen(lambda: number)

    def work(seconds):
        end, number = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            number += 1
            keep(number)
            subscribe(number)
            bounded[number % 50] = "x" * 500
            saw[number] = "y" * 500
            if len(saw) > 40:
                saw.clear()
            ring.append("z" * 500)
            limited.entries[number] = "v" * 500
            remembered(number)
            time.sleep(0.002)
"""


def told(receiver: Receiver) -> dict[str, dict[str, Any]]:
    """What was told of leaks by what holds them, the last of each."""
    return {
        str(one.attributes[PREFIX + "holder"]): dict(one.attributes)
        for one in receiver.logs
        if one.event_name == "perfagent.memory_leak"
    }


def line_of(text: str, part: str) -> int:
    """The number of the first line that has some text."""
    return next(number for number, line in enumerate(text.splitlines(), 1) if part in line)


@pytest.mark.slow
def test_what_grows_is_named_with_its_lines_and_what_is_bounded_is_not(
    run_program: RunProgram, receiver: Receiver, tmp_path: Path
) -> None:
    from textwrap import dedent

    text = dedent(KEEPERS) + "\nif __name__ == '__main__':\n    work(float(sys.argv[1]))\n"
    path = tmp_path / "prog.py"
    path.write_text(text)
    program = run_program("perfagent", "run", sys.executable, str(path), "280", env=agent_env(receiver, **QUICK))
    program.wait_until(
        lambda: {"__main__.held", "__main__.listen.listeners"} <= told(receiver).keys(), "the leaks were not named", 270
    )
    found = told(receiver)
    assert set(found) == {"__main__.held", "__main__.listen.listeners"}
    held, listeners = found["__main__.held"], found["__main__.listen.listeners"]
    assert held[PREFIX + "assigned"] == f"{path}:{line_of(text, 'held = []')}"
    assert held["code.file.path"] == str(path)
    assert held["code.line.number"] == line_of(text, "held.append(bytes")
    assert held["code.function.name"] == "keep"
    assert held[PREFIX + "type"] == "bytes"
    assert 1000 < held[PREFIX + "bytes_per_entry"] < 1200
    assert listeners[PREFIX + "assigned"] == f"{path}:{line_of(text, 'listeners = []')}"
    assert listeners[PREFIX + "filled"] == f"{path}:{line_of(text, 'listeners.append(listener)')}"
    makes, appends = line_of(text, "listen(lambda"), line_of(text, "listeners.append(listener)")
    assert listeners["code.line.number"] in (makes, appends), "the second where no new one was caught"
    assert listeners[PREFIX + "type"] == "function"

"""Frames of other threads are read without harm to the process, whatever the garbage collector does meanwhile."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from perfagent.runtime import frames

PROGRAM = """
import gc, sys, threading, time
from perfagent.runtime import frames

gc.callbacks.append(lambda phase, info: time.sleep(0))  # lets other threads go on while it collects
gc.set_threshold(5)
sys.setswitchinterval(1e-5)
looks = 0

def look():
    global looks
    own = threading.get_ident()
    while True:
        for thread, frame in frames.of_threads().items():
            if thread != own:
                for one in frames.stack(frame):
                    if one.f_code.co_name == "deep":
                        assert frames.read(one, "f_locals").get("kept", "deep") == "deep"
                looks += 1

def deep(left):
    kept = "deep"
    if left:
        return deep(left - 1)
    for _ in range(20):
        [{}]

threading.Thread(target=look, daemon=True).start()
end = time.monotonic() + 2
while time.monotonic() < end or looks < 1000:
    thread = threading.Thread(target=deep, args=(5,))
    thread.start()
    thread.join()
assert gc.isenabled()
"""


def test_threads_may_end_and_the_collector_may_run_while_their_frames_are_read() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_stack_is_what_was_called_from_the_innermost_on() -> None:
    ready, go = threading.Event(), threading.Event()

    def inner() -> None:
        ready.set()
        go.wait()

    def outer() -> None:
        inner()

    thread = threading.Thread(target=outer)
    thread.start()
    ready.wait()
    time.sleep(0.05)
    names = [frame.f_code.co_name for frame in frames.stack(frames.of_threads()[thread.ident or 0])]
    go.set()
    thread.join()
    assert names.index("inner") + 1 == names.index("outer")
    assert len(frames.stack(sys._getframe(), 2)) == 2


def test_what_is_not_a_frame_s_is_read_as_ever() -> None:
    class Other:
        def __getattr__(self, name: str) -> str:
            return name

    async def work() -> None: ...

    steps = work()
    assert frames.read(Other(), "cr_frame") == "cr_frame"
    assert frames.read(object(), "cr_frame") is None
    assert frames.read(steps, "cr_frame") is steps.cr_frame
    steps.close()
    assert frames.read(steps, "cr_frame") is None


def test_no_frames_are_told_of_where_threads_do_not_stand_still(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interpreters:
        @staticmethod
        def list_all() -> list[int]:
            return [0, 1]

    monkeypatch.setattr(sys, "version_info", (3, 13, 0))
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: True, raising=False)
    assert frames.of_threads()
    monkeypatch.setitem(sys.modules, "_interpreters", Interpreters)
    assert frames.of_threads() == {}
    monkeypatch.delitem(sys.modules, "_interpreters")
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    assert frames.of_threads() == {}

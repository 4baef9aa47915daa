"""Pauses of the garbage collector go on to be told where a program empties `gc.callbacks`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conftest import RunText

CLEARED = """
import gc, time
from perfagent.runtime import timeparts

until = time.monotonic() + 60
while not timeparts.installed and time.monotonic() < until:
    time.sleep(0.01)
paused = []
from perfagent.runtime import pauses
pauses.listen(lambda *pause: paused.append(pause))
gc.callbacks.clear()
gc.collect()
print(paused)
while not gc.callbacks and time.monotonic() < until:
    time.sleep(0.01)
print(len(gc.callbacks))
gc.collect()
(generation, ended, pause, cpu) = paused[-1]
print(generation, ended >= pause >= cpu > 0)
"""


def test_parts_of_time_put_the_callback_back_by_themselves(run_text: RunText) -> None:
    program = run_text(CLEARED, OTEL_METRICS_EXPORTER="none", PERFAGENT_TIME_PARTS="true")
    assert program.stdout.splitlines() == ["[]", "1", "2 True"]

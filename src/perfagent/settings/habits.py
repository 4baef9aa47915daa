"""What the look at a program's habits is told."""

from __future__ import annotations

from perfagent.settings.options import Number
from perfagent.settings.source import Table


class HabitSettings(Table):
    """Options of the habits; arguments as for `Table`."""

    title = "Habits"

    thread_window = Number(
        "PERFAGENT_THREAD_GROWTH",
        120.0,
        "For how long the threads that one line starts must become more and more until they are told as leaked.",
        "s",
        1,
        86_400,
    )

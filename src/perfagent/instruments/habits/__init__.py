"""Habits that a program had better not have, seen as it runs: calls without a time-out, retries without an end, what is
never closed, sessions for one call, threads that stay.

Each is told of the program's own line (`runtime.notices`). A healthy call pays for the look at its arguments, at most
1.5 us beside a call that takes hundreds; only a call that is to be told of is looked for on the stack, and that not
each time.
"""

from __future__ import annotations

import sys

from perfagent.instruments import hook
from perfagent.instruments.base import Instrument
from perfagent.runtime import warned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, ModuleType

    from perfagent.settings import Settings

FOLDER = "perfagent.instruments.habits"
# What is waited for, which of our modules looks at it and by which function, and the instrument's name that switches it
# off, too.
WAITED_FOR: tuple[tuple[str, str, str, str], ...] = (
    ("requests", "timeouts", "of_requests", "requests"),
    ("urllib3", "timeouts", "of_urllib3", "urllib3"),
    ("httpx", "timeouts", "of_httpx", "httpx"),
    ("aiohttp", "timeouts", "of_aiohttp", "aiohttp-client"),
    ("urllib.request", "timeouts", "of_urllib", "urllib"),
    ("http.client", "connections", "of_http_client", "urllib"),
    ("socket", "connections", "of_socket", ""),
    ("smtplib", "connections", "of_smtplib", ""),
    ("redis", "connections", "of_redis", "redis"),
    ("redis.asyncio", "connections", "of_redis", "redis"),
    ("psycopg2", "connections", "of_psycopg2", "psycopg2"),
    ("pymysql", "connections", "of_pymysql", "pymysql"),
    ("grpc._channel", "timeouts", "of_grpc", "grpc_client"),
    ("grpc.aio._call", "timeouts", "of_grpc_aio", "grpc_client"),
    ("celery.result", "timeouts", "of_celery", "celery"),
    ("requests", "sessions", "of_requests", "requests"),
    ("httpx", "sessions", "of_httpx", "httpx"),
    ("aiohttp", "sessions", "of_aiohttp", "aiohttp-client"),
    ("urllib3", "unclosed", "of_urllib3", "urllib3"),
    ("http.client", "unclosed", "of_http_client", "urllib"),
    ("asyncio.base_events", "unclosed", "of_loops", ""),
    ("tenacity", "retries", "of_tenacity", "tenacity"),
    ("urllib3", "retries", "of_urllib3", "urllib3"),
    ("celery.app.task", "retries", "of_celery", "celery"),
    ("perfagent.instruments.outgoing", "retries", "of_outgoing", ""),
    ("threading", "threads", "of_threading", "threading"),
)


class Habits(Instrument):
    """Patches of many libraries; each is undone where it does not fit, without the others.

    Args:
        look: replaces what it looks at, in a module that the program has imported.
    """

    name = "habits"
    records = "calls without a time-out, endless retries, what is not closed, leaked threads"

    def __init__(self, look: Callable[[Instrument, ModuleType], None] | None = None) -> None:
        super().__init__()
        self._look = look

    def patch(self, module: ModuleType) -> None:
        """Lets the habit's own module look."""
        if self._look is not None:
            self._look(self, module)


looking: list[Habits] = []
"""Those that look."""


def install(settings: Settings) -> None:
    """Waits for every library that is not disabled."""
    disabled = {name.lower() for name in settings.disabled_instruments}
    if "*" in disabled or "habits" in disabled:
        return
    hook.install()
    warned.others[ResourceWarning] = _let_go
    for awaited, module, function, name in WAITED_FOR:
        if name not in disabled:
            hook.when_imported(awaited, _loader(f"{FOLDER}.{module}", function))


def _let_go(text: str, frame: FrameType) -> None:
    from perfagent.instruments.habits import unclosed

    unclosed.let_go(text, frame)


def _loader(name: str, function: str) -> Callable[[ModuleType], None]:
    def load(imported: ModuleType) -> None:
        __import__(name)
        habit = Habits(getattr(sys.modules[name], function))
        looking.append(habit)
        habit.apply(imported)

    return load

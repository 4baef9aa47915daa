"""What is let go without being closed: responses that nobody reads to their end, files, sockets, tasks that are lost.

A response that is not read by the library itself is marked with the line that got it; as it is collected unclosed, that
line is told. What C code warns of (files, sockets; a ResourceWarning, which Python hides) is told of the line that let
it go. Each response pays 0.2 us, at its end.
"""

from __future__ import annotations

from io import IOBase
from sys import _getframe
from types import CodeType

from perfagent.instruments.habits.telling import tell, tell_of
from perfagent.runtime import callers, carriers, guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, ModuleType
    from typing import Any

    from perfagent.instruments.base import Instrument

KIND = "unclosed"
MARK = "_perfagent_got"
TOLD = frozenset((
    "client session", "response", "connection", "connector", "Redis client", "Pipeline client", "RedisCluster client",
    "ClusterNode object", "AIOKafkaConsumer", "AIOKafkaProducer",
))  # fmt: skip
"""What libraries say of themselves; a program's own message may say anything."""
LOST = {"pending": "Task was destroyed but it is pending!", "exception": "Task exception was never retrieved"}
"""What asyncio says of tasks, by why they are lost."""


def of_urllib3(habit: Instrument, module: ModuleType) -> None:
    """Responses of urllib3, and so of requests, that the program reads itself: `preload_content=False`, `stream`."""
    response = module.response.HTTPResponse

    def marking(urlopen: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(pool: Any, *args: Any, **options: Any) -> Any:
            found = urlopen(pool, *args, **options)
            if options.get("preload_content", True) is False:
                _mark(found, _getframe(1))
            return found

        return wrapper

    habit.replace(module.connectionpool.HTTPConnectionPool, "urlopen", marking)
    _at_end(habit, response, lambda one: one._connection is not None and not one.closed)


def of_http_client(habit: Instrument, module: ModuleType) -> None:
    """Responses of `urlopen` and of http.client."""

    def marking(get: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(connection: Any, *args: Any, **options: Any) -> Any:
            found = get(connection, *args, **options)
            if "urllib3" not in str(type(connection).__module__):
                _mark(found, _getframe(1))
            return found

        return wrapper

    habit.replace(module.HTTPConnection, "getresponse", marking)
    _at_end(habit, module.HTTPResponse, lambda one: one.fp is not None)


def of_loops(habit: Instrument, module: ModuleType) -> None:
    """What tasks, and aiohttp's sessions, tell their loop as they are collected."""

    def looking(handle: Callable[..., None]) -> Callable[..., None]:
        def wrapper(loop: Any, context: Any) -> None:
            _lost(context, _getframe(1))
            handle(loop, context)

        return wrapper

    habit.replace(module.BaseEventLoop, "call_exception_handler", looking)


def _mark(response: Any, frame: FrameType | None) -> None:
    try:
        caller = callers.nearest(frame)
        if caller is not None:
            response.__dict__[MARK] = caller
    except Exception:
        guard.failed("habits")


def _at_end(habit: Instrument, kind: type, is_open: Callable[[Any], bool]) -> None:
    """Has a look taken at each object of a class as it is collected, before it is closed."""
    name = f"{kind.__module__}.{kind.__qualname__}"
    end: Callable[[Any], None] = getattr(kind, "__del__", IOBase.__del__)

    def ending(_: object) -> Callable[[Any], None]:
        def wrapper(response: Any) -> None:
            try:
                caller = response.__dict__.get(MARK)
                if caller is not None and is_open(response):
                    tell_of(KIND, "response", caller, f"a response ({name}) is neither read nor closed")
            except Exception:
                guard.failed("habits")
            end(response)

        return wrapper

    habit.replace(kind, "__del__", ending)


def let_go(text: str, frame: FrameType | None) -> None:
    """A warning of C code: "unclosed file <_io.TextIOWrapper name=…>"; its name is not told."""
    words = text.split()
    if words[:1] == ["unclosed"]:
        what = "file" if words[1:2] == ["file"] else "socket" if "socket" in text[:30] else "object"
        tell(KIND, what, frame, f"a {what} is let go without being closed")


def _lost(context: Any, frame: FrameType | None) -> None:
    try:
        message = context.get("message") if type(context) is dict else None
        if type(message) is not str:
            return
        if message.startswith("Unclosed "):
            said = message[9:].strip()
            what = said if said in TOLD else "object"
            tell(KIND, what, frame, f"a {what} is let go without being closed")
            return
        why = next((why for why, said in LOST.items() if said == message), "")
        if not why:
            return
        task = context.get("task" if why == "pending" else "future")
        kind = carriers.kind_of_task(task)
        code = None if kind is None else getattr(kind.get_coro(task), "cr_code", None)
        if type(code) is CodeType and callers.whose(code.co_filename) != callers.NOT_OWN:
            tell_of("lost_task", code.co_name, (code, 0), f"a task is lost: {LOST[why]}", {"why": why})
    except Exception:
        guard.failed("habits")

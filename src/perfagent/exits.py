"""Graceful shutdown: what the program wants done before it ends, on every way that it may end by itself."""

from __future__ import annotations

import _signal  # the C module below `signal`, whose import costs 3 ms
import atexit
import faulthandler
import os
import sys
import threading
import weakref

from perfagent.runtime import outbox
from perfagent.runtime.clock import monotonic
from perfagent.settings.exits import ExitSettings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    Hook = TypeVar("Hook", bound=Callable[[], Any])
    Session = TypeVar("Session")

SIGTERM_STATUS = 128 + _signal.SIGTERM  # what a shell tells of a program that SIGTERM ended


def on_shutdown(hook: Hook) -> Hook:
    """Has `hook` called before this process ends: at the interpreter's exit, on SIGTERM, or by `shutdown()`.

    The last registered is called first. A hook that raises is told of on standard error, and the others follow. Hooks
    belong to the process that registered them; a forked child has none of its parent's. SIGTERM, where nobody handles
    it, ends the program by SystemExit(143) from then on, so that `finally` blocks run as well.

    Args:
        hook: takes nothing; a coroutine function is run in an event loop of its own. As a decorator it stays as it is.

    Raises:
        TypeError: `hook` cannot be called.
    """
    if not callable(hook):
        raise TypeError(
            f"hook={hook!r} is not accepted: a function that takes nothing, such as on_shutdown(pool.close)"
        )
    _exits.add(hook)
    return hook


def close_at_exit(session: Session) -> Session:
    """Has `session.close()`, or `session.aclose()`, called as `on_shutdown` does, where the object is still there then.

    Args:
        session: an HTTP client, a database session, a pool, a file: anything with `close` or `aclose`. It is held by a
            weak reference where it allows one, so this keeps nothing alive.

    Returns:
        The same object.

    Raises:
        TypeError: it has neither method.
    """
    name = next((name for name in ("close", "aclose") if callable(getattr(session, name, None))), "")
    if not name:
        raise TypeError(f"session={session!r} is not accepted: an object that has close() or aclose()")
    _exits.add(_Closing(session, name))
    return session


def shutdown(timeout: float = 2.0) -> bool:
    """Calls the hooks that wait, then sends the telemetry that does; the process goes on, and may call it again.

    Args:
        timeout: longest wait for the telemetry to be taken, in seconds.

    Returns:
        Whether no hook failed and all telemetry was taken.
    """
    told = _exits.run()
    told = outbox.flush(timeout) and told
    if _exits.asked:
        _exits.asked = False
        os.kill(os.getpid(), _signal.SIGTERM)  # once more, to the main thread
    return told


class _Closing:
    def __init__(self, session: Any, method: str) -> None:
        self._method = method
        self.__qualname__ = f"{type(session).__qualname__}.{method}"
        try:
            self._session = weakref.ref(session)
        except TypeError:
            self._session = lambda: session  # type: ignore[assignment]

    def __call__(self) -> Any:
        session = self._session()
        return None if session is None else getattr(session, self._method)()


class _Exits:
    """The hooks of this process."""

    def __init__(self) -> None:
        self._hooks: list[Callable[[], Any]] = []
        self._process = 0
        self._running = False
        self.asked = False
        """Whether a SIGTERM came while hooks ran."""

    def add(self, hook: Callable[[], Any]) -> None:
        if self._process != os.getpid():
            self._hooks, self._process = [], os.getpid()
            self._running = self.asked = False
            self._listen()
        self._hear()
        self._hooks.append(hook)

    def _listen(self) -> None:
        atexit.register(self._at_exit, os.getpid())
        children = sys.modules.get("multiprocessing.util")
        if children is not None and sys.modules["multiprocessing"].parent_process() is not None:
            children.Finalize(None, self._at_exit, (os.getpid(),), exitpriority=100)  # these end by os._exit

    def _hear(self) -> None:
        """Takes SIGTERM where nobody has; the first hook may come from another thread, which cannot."""
        if threading.current_thread() is threading.main_thread() and (
            _signal.getsignal(_signal.SIGTERM) == _signal.SIG_DFL
        ):
            import signal  # the module whose functions others may have replaced

            signal.signal(signal.SIGTERM, _leave)

    def _at_exit(self, process: int) -> None:
        if process == os.getpid() == self._process:
            self.run()

    def leave(self) -> None:
        """What SIGTERM does: ends the program, once the hooks have run that run already."""
        if self._process != os.getpid():  # a child that has none ends as it would without us
            import signal

            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
        elif self._running:
            self.asked = True
            return
        raise SystemExit(SIGTERM_STATUS)

    def run(self) -> bool:
        """Calls every hook, the last one first; says whether all went well."""
        if self._process != os.getpid():
            return True
        outer, self._running = self._running, True
        try:
            return self._run_all()
        finally:
            self._running = outer

    def _run_all(self) -> bool:
        well = True
        with _Watch(ExitSettings.current().timeout) as watch:
            while self._hooks:
                hook = self._hooks.pop()
                watch.at = getattr(hook, "__qualname__", repr(hook))
                try:
                    _finish(hook())
                except (Exception, SystemExit) as error:
                    well = False
                    _say(f"{watch.at} failed at the end of the program: {type(error).__name__}: {error}")
        return well


def _finish(result: object) -> None:
    if hasattr(result, "__await__"):
        import asyncio

        async def wait() -> None:
            await result

        asyncio.run(wait())


class _Watch:
    """Ends the process where the hooks take too long; nobody waits for ever for a pool that does not close.

    Args:
        seconds: how long they may take in all; 0 for ever.
    """

    def __init__(self, seconds: float) -> None:
        self.at = ""
        self._seconds = seconds
        self._done = threading.Event()

    def __enter__(self) -> _Watch:
        if self._seconds:
            try:
                threading.Thread(target=self._run, name="perfagent-shutdown", daemon=True).start()
            except RuntimeError:  # from 3.12 on, there is none at the interpreter's exit: C's own, which says where
                faulthandler.dump_traceback_later(self._seconds, exit=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        faulthandler.cancel_dump_traceback_later()

    def _run(self) -> None:
        began = monotonic()
        if self._done.wait(self._seconds):
            return
        _say(f"{self.at} is not done after {monotonic() - began:.0f} s (SHUTDOWN_TIMEOUT): the program ends without it")
        os._exit(1)


def _leave(signal: int, frame: object) -> None:
    _exits.leave()


def _say(message: str) -> None:
    print(f"perfagent: {message}", file=sys.stderr, flush=True)


_exits = _Exits()

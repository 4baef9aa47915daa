"""What the tests of caches share."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable


def until(condition: Callable[[], object], timeout: float = PATIENCE) -> None:
    """Returns when a condition holds; fails after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not come to hold"
        time.sleep(0.005)


def in_threads(number: int, call: Callable[[], Any]) -> list[Any]:
    """The results, or the exceptions, of that many threads that begin together."""
    gate, found = threading.Barrier(number), []

    def one() -> None:
        gate.wait()
        try:
            found.append(call())
        except BaseException as error:
            found.append(error)

    threads = [threading.Thread(target=one) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == number
    return found


class Counter:
    """A function that tells how often it was called."""

    def __init__(self, result: Callable[..., Any] = lambda *args: args, wait: float = 0) -> None:
        self.calls: list[Any] = []
        self._result, self._wait = result, wait

    def __call__(self, *args: Any) -> Any:
        self.calls.append(args)
        if self._wait:
            time.sleep(self._wait)
        return self._result(*args)

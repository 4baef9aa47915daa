"""Further background threads than the pipeline's: they end around a fork as it does, and with it."""

from __future__ import annotations

import os
from time import monotonic, sleep

GONE_WAIT = 0.05  # seconds; a thread that has nothing left to do is gone after some us


class Companion:
    """What has a thread, or anything else that a fork or the end of the process must find in order."""

    def halt(self) -> int:
        """Before a fork: lets the thread end; returns its native id where it has nothing left to do but end, else 0."""
        return 0

    def resume(self) -> None:
        """After a fork: starts the thread again."""

    def reset(self) -> None:
        """In a forked child, before `resume`: nothing of the parent's is ours."""

    def stop(self) -> None:
        """At the end of the process, when everything is sent."""


all_of_them: list[Companion] = []


def halt() -> None:
    """Before a fork."""
    for companion in all_of_them:
        thread = companion.halt()
        if thread:
            wait_until_gone(thread)


def resume() -> None:
    """After a fork."""
    for companion in all_of_them:
        companion.resume()


def reset() -> None:
    """In a forked child."""
    for companion in all_of_them:
        companion.reset()


def stop() -> None:
    """At the end of the process."""
    for companion in all_of_them:
        companion.stop()


def wait_until_gone(thread: int) -> None:
    """Waits for the end of a thread that has nothing left to do but end, by its native id.

    Python 3.12 counts the threads of the operating system when it warns of a fork; elsewhere than on Linux nobody does.
    """
    deadline = monotonic() + GONE_WAIT
    while monotonic() < deadline:
        try:
            os.stat(f"/proc/self/task/{thread}")
        except OSError:
            return
        sleep(0)

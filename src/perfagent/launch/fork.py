"""Forks: the background thread ends before and starts again after, and a child begins with nothing of its parent's."""

from __future__ import annotations

import os
import sys
from _thread import get_ident

from perfagent.instruments.base import disguise
from perfagent.runtime import configure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from perfagent.runtime.pipeline import Pipeline

WARNS = sys.version_info >= (3, 12)
"""Whether Python warns of a fork in a process that has more than one thread."""


def install(pipeline: Pipeline) -> None:
    """Takes `pipeline` through every fork of this process and of its forked children."""
    postponing: set[int] = set()  # threads in a fork after which they resume by themselves

    def in_parent() -> None:
        if get_ident() not in postponing:
            pipeline.resume()

    def in_child() -> None:
        postponing.clear()
        configure.reset_after_fork(pipeline)
        pipeline.resume()

    def resuming_later(fork: Callable[[], Any]) -> Callable[[], Any]:
        """From 3.13 on, Python counts the threads only after `after_in_parent` has run: too late to have none."""

        def wrapper() -> Any:
            thread = get_ident()
            postponing.add(thread)
            try:
                return fork()
            finally:
                if thread in postponing:  # else this is the child
                    postponing.discard(thread)
                    pipeline.resume()

        return disguise(wrapper, fork)  # type: ignore[no-any-return]

    os.register_at_fork(before=pipeline.halt, after_in_parent=in_parent, after_in_child=in_child)
    if WARNS:
        os.fork = resuming_later(os.fork)
        os.forkpty = resuming_later(os.forkpty)

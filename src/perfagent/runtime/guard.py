"""The one place where a failure of perfagent's own ends: counted, said once, and the program goes on."""

from __future__ import annotations

import sys

from perfagent import settings

OTHERS = (RecursionError, MemoryError)
"""What is no failure of ours: the program has left nothing to work with. It is counted, and not told."""
failures: dict[str, int] = {}
"""How often each place failed; exported as `perfagent.internal.errors`."""
_told: set[str] = set()


def failed(place: str) -> None:
    """Counts the exception being handled; call it in the `except Exception` of a hook.

    Args:
        place: what perfagent was doing, as an instrument's or a module's name.

    Raises:
        Exception: the one being handled, where PERFAGENT_STRICT is set; so our tests see every failure.
    """
    if settings.current().strict:
        raise
    failures[place] = failures.get(place, 0) + 1
    error = sys.exc_info()[1]
    if place not in _told and not isinstance(error, OTHERS):
        _told.add(place)
        try:
            from perfagent.runtime import scrub
            from perfagent.runtime.attributes import text_of

            said = scrub.text(text_of(error))
        except (RecursionError, MemoryError):  # the program is about to fail, and tells why
            return
        say(
            f"its own {place} failed ({type(error).__name__}: {said}); the program is not affected, "
            "further failures of this kind are only counted"
        )


def say(message: str) -> None:
    """One line on standard error; nowhere where a program has closed it, or has taken it away."""
    stderr = sys.stderr
    if stderr is None:  # `print` would take standard output
        return
    try:
        print(f"perfagent: {message}", file=stderr, flush=True)
    except Exception as error:  # an object of the program's, which may raise anything
        del error

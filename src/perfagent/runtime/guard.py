"""The one place where a failure of perfagent's own ends: counted, said once, and the program goes on."""

from __future__ import annotations

import sys

from perfagent import settings

failures: dict[str, int] = {}
"""How often each place failed; exported as `perfagent.internal.errors`."""


def failed(place: str) -> None:
    """Counts the exception being handled; call it in the `except Exception` of a hook.

    Args:
        place: what perfagent was doing, as an instrument's or a module's name.

    Raises:
        Exception: the one being handled, where PERFAGENT_STRICT is set; so our tests see every failure.
    """
    if settings.current().strict:
        raise
    count = failures[place] = failures.get(place, 0) + 1
    if count == 1:
        from perfagent.runtime import scrub

        error = sys.exc_info()[1]
        said = scrub.text(str(error))
        print(
            f"perfagent: its own {place} failed ({type(error).__name__}: {said}); the program is not affected, "
            "further failures of this kind are only counted",
            file=sys.stderr,
            flush=True,
        )

"""Starts what looks deeper than spans: each feature is a module with `install(settings)`, loaded where it is on."""

from __future__ import annotations

import sys

from perfagent.runtime import guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.settings import Settings

FEATURES: tuple[tuple[str, str], ...] = ()
"""The option of `Settings` that a feature hangs on, and its module."""


def install(settings: Settings) -> None:
    """Starts the features that are on; one that fails leaves the others and the program alone."""
    for option, module in FEATURES:
        if getattr(settings, option):
            try:
                __import__(module)
                sys.modules[module].install(settings)
            except Exception:
                guard.failed(module.rpartition(".")[2])

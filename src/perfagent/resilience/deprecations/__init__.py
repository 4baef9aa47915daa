"""The deprecation ledger: which lines call what will be gone one day, and how often."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.resilience.deprecations.decorator import deprecated as deprecated


def install() -> None:
    """Counts every deprecated call of this process from now on, unless PERFAGENT_DEPRECATIONS says no."""
    from perfagent.settings.deprecations import DeprecationSettings

    settings = DeprecationSettings.current()
    if not settings.counted:
        return
    import os

    from perfagent.resilience.deprecations import native, watch
    from perfagent.resilience.deprecations.ledger import book, declare

    book.configure(settings.sites, settings.future)
    declare()
    book.watched = True
    watch.install()
    native.install()
    os.register_at_fork(after_in_child=book.forget)


def uninstall() -> None:
    """Leaves `warnings` as Python has it; what was counted stays."""
    from perfagent.resilience.deprecations import native, watch
    from perfagent.resilience.deprecations.ledger import book

    native.uninstall()
    watch.uninstall()
    book.watched = False


def __getattr__(name: str) -> object:
    if name != "deprecated":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from perfagent.resilience.deprecations.decorator import deprecated

    return deprecated

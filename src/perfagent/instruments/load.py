"""Switches the instruments on and off, and tells which are on."""

from __future__ import annotations

from perfagent.instruments import contrib, hook, urls
from perfagent.instruments.registry import INSTRUMENTS
from perfagent.runtime import guard, outbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from perfagent.instruments.base import Instrument
    from perfagent.settings import Settings

loaded: dict[str, Instrument] = {}
"""The instruments whose library the program has imported, by name."""


def install(settings: Settings) -> None:
    """Waits for every library that is not disabled."""
    urls.configure(settings)
    disabled = {name.lower() for name in settings.disabled_instruments}
    if "*" in disabled:
        return
    hook.install()
    outbox.reports["instruments"] = states
    for name, module, waits_for in INSTRUMENTS:
        if name not in disabled:
            for awaited in waits_for:
                hook.when_imported(awaited, _Loader(name, module))
    try:
        contrib.install(disabled)
    except Exception:
        guard.failed("contrib")


def states() -> dict[str, str]:
    """Each instrument that the program's imports have brought: `on`, or why it is off; `contrib:` before one of
    OpenTelemetry's.
    """
    ours = {name: f"off: {found.reason}" if found.reason else "on" for name, found in sorted(loaded.items())}
    return ours | dict(sorted(contrib.states.items()))


def waits(name: str, modules: tuple[str, ...]) -> bool:
    """Whether an instrument would be loaded by the import of one of its library's modules."""
    callbacks = [callback for module in modules for callback in hook.finder.waiting.get(module, ())]
    return any(isinstance(callback, _Loader) and callback.name == name for callback in callbacks)


def uninstall() -> None:
    """Puts every library back as it was."""
    hook.remove()
    contrib.uninstall()
    for instrument in reversed(list(loaded.values())):
        instrument.unpatch()
    loaded.clear()


class _Loader:
    """Loads one instrument's module and applies it."""

    def __init__(self, name: str, module: str) -> None:
        self.name = name
        self.module = module

    def __call__(self, imported: ModuleType) -> None:
        instrument = loaded.get(self.name)
        if instrument is None:
            module = __import__(self.module, fromlist=["instrument"])
            instrument = loaded[self.name] = module.instrument
        try:
            instrument.apply(imported)
        finally:
            if instrument.reason and not instrument.measured_by:
                contrib.take_over(self.name)

"""Which libraries an interpreter has, and what the agent would do with each: what `perfagent doctor` asks for.

Importing fifty libraries takes 8 s of CPU, five of anthropic and openai alone; their versions are read in 0.5 s. So a
library is imported only where its version does not tell.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import PathFinder
from importlib.metadata import PackageNotFoundError, distribution

from perfagent.instruments import contrib, hook, load, registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from perfagent.instruments.base import Instrument

MEASURED = "measured"


def states(disabled: Collection[str], imports_all: bool = False) -> dict[str, str]:
    """What becomes of each library, by the name of its instrument.

    Args:
        disabled: names of instruments, in lower case.
        imports_all: whether to import each library, so that each patch is tried.

    Returns:
        `measured`, `not installed`, or the reason why it is off; for one of OpenTelemetry's instrumentors `contrib: on`
        or `contrib: off:` with the reason.
    """
    found = {}
    for name, module, waits_for in registry.INSTRUMENTS:
        if name in disabled or "*" in disabled:
            found[name] = "disabled by OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
        elif imports_all:
            found[name] = _tried(name, waits_for)
        else:
            found[name] = _seen(name, module, waits_for)
    for folder in contrib.found():
        if folder in found or folder in contrib.ours():
            continue
        for awaited in contrib.IMPORTED.get(folder, (folder,)):
            _imports(awaited)
    for name, state in contrib.states.items():
        found[name] = f"{found[name]}; {state}" if name in found else state
    return found


def _seen(name: str, module: str, waits_for: tuple[str, ...]) -> str:
    """The state of a library that is imported only if nothing else tells."""
    if name not in load.loaded:
        if not any(_is_there(awaited) for awaited in waits_for):
            return "not installed"
        fits = _fits(_instrument(module), waits_for)
        if name not in load.loaded:
            return MEASURED if fits and load.waits(name, waits_for) else _tried(name, waits_for)
    return load.loaded[name].reason or MEASURED


def _instrument(module: str) -> Instrument:
    """An instrument by its module, which may import its library: who waits for that is told when both are there."""
    waiting, hook.finder.waiting = hook.finder.waiting, {}
    try:
        instrument: Instrument = __import__(module, fromlist=["instrument"]).instrument
    finally:
        hook.finder.waiting = waiting
    for awaited in [name for name in waiting if name in sys.modules]:
        hook.finder.arrived(sys.modules[awaited])
    return instrument


def _fits(instrument: Instrument, waits_for: tuple[str, ...]) -> bool:
    """Whether the installed version of a library is one of those that its instrument knows."""
    if not instrument.distribution:
        return True
    try:
        installed = distribution(instrument.distribution)
    except PackageNotFoundError:
        return False
    place = os.path.realpath(str(installed.locate_file("")))
    packages = {awaited.partition(".")[0] for awaited in waits_for}
    found = [path for package in packages for path in _places(package)]
    # What comes from elsewhere, such as a copy earlier on the path, has a version that its module alone knows.
    if not found or any(os.path.dirname(os.path.realpath(path)) != place for path in found):
        return False
    return not instrument.out_of_range(installed.version)


def _tried(name: str, waits_for: tuple[str, ...]) -> str:
    if not [awaited for awaited in waits_for if _imports(awaited)]:
        return "not installed"
    instrument = load.loaded.get(name)
    return "waits" if instrument is None else instrument.reason or MEASURED


def _places(package: str) -> list[str]:
    """Where a package or a module of the first level is, which is not imported for that; [] where there is none."""
    spec = PathFinder.find_spec(package)
    if spec is None:
        return []
    return list(spec.submodule_search_locations or ()) or ([spec.origin] if spec.origin else [])


def _is_there(module: str) -> bool:
    """Whether a module could be imported; its packages are not, for `importlib.util.find_spec` would."""
    if module in sys.modules:
        return True
    package, *inner = module.split(".")
    if not inner:
        return _importable(package)
    places = _places(package)
    for part in inner:
        spec = PathFinder.find_spec(part, places)
        if spec is None:
            return False
        places = list(spec.submodule_search_locations or ())
    return True


def _importable(package: str) -> bool:
    from importlib.util import find_spec

    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):  # a module that somebody put in place by hand
        return package in sys.modules


def _imports(module: str) -> bool:
    try:
        __import__(module)
    except Exception:  # a library may fail in any way when it is imported
        return module in sys.modules
    return True

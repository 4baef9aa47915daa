"""Libraries that perfagent does not measure itself: OpenTelemetry's own instrumentors, where they are installed.

At the start, only the names of the folders of `opentelemetry.instrumentation` are read: 20 us where it is not
installed, 150 us with thirty of them. An instrumentor is imported when the program has imported its library, and so is
OpenTelemetry's API, which works on our runtime then. What one of them does wrong stays with it.
"""

from __future__ import annotations

import os
import sys

from perfagent.instruments import hook
from perfagent.instruments.registry import INSTRUMENTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from importlib.metadata import EntryPoint
    from types import ModuleType
    from typing import Any

GROUP = "opentelemetry_instrumentor"
NAMESPACES = ("opentelemetry.instrumentation", "openinference.instrumentation")
"""Where instrumentors are, as they are named by who makes them."""
IMPORTED = {
    "aws_lambda": (),  # is given its handler by the layer that it is part of
    "botocore": ("aiobotocore",),  # the other one of its folder, botocore itself, is ours
    "cassandra": ("cassandra.cluster",),
    "google_genai": ("google.genai",),
    "mysql": ("mysql.connector",),
    "openai_agents": ("agents",),
    "pyramid": ("pyramid.config",),
    "tortoiseorm": ("tortoise",),
    "urllib": ("urllib.request",),
}
"""The modules that an instrumentor waits for, where that is not one of its own name."""
OURS = {
    "boto3": "botocore",
    "grpc_aio_client": "grpc_client",
    "grpc_aio_server": "grpc_server",
    "httpx2": "httpx",
}
"""Entry points of libraries that an instrument of ours has under another name."""
PUBLISHED = {
    "aiopg": "aiopg",
    "asyncclick": "asyncclick",
    "cassandra": "cassandra",
    "click": "click",
    "falcon": "falcon",
    "jinja2": "jinja2",
    "mysql.connector": "mysql",
    "pymssql": "pymssql",
    "pyramid": "pyramid",
    "remoulade": "remoulade",
    "tortoise": "tortoiseorm",
    "vertexai": "vertexai",
}
"""Libraries that OpenTelemetry alone has an instrumentor for: the module, and the end of its package's name."""
VITALS = ("system_metrics",)  # what perfagent.vitals tells of

states: dict[str, str] = {}
"""What became of each instrumentor that was to be loaded: `contrib: on`, or why it is off."""
_folders: dict[str, str] = {}  # the name of a folder, and its namespace
_disabled: Collection[str] = ()
_on: list[Any] = []


def install(disabled: Collection[str]) -> None:
    """Waits for the libraries of what is installed and not disabled.

    Args:
        disabled: names of instrumentors, in lower case; `opentelemetry` among them disables all, for they need it.
    """
    global _disabled
    _disabled = disabled
    _folders.update(found())
    if not _folders or "opentelemetry" in disabled:
        return
    own = ours()
    for name in _folders:
        if (name not in own or name in IMPORTED) and name not in VITALS:
            for awaited in IMPORTED.get(name, (name,)):
                hook.when_imported(awaited, _Loader(name))


def found() -> dict[str, str]:
    """The folders of instrumentors that the program's environment has, with their namespaces."""
    folders: dict[str, str] = {}
    for namespace in NAMESPACES:
        inner = namespace.replace(".", os.sep)
        for place in sys.path:
            try:
                names = os.listdir(os.path.join(place, inner))
            except OSError:
                continue
            for name in names:
                if "." not in name and not name.startswith("_") and name not in ("auto_instrumentation", "utils"):
                    folders.setdefault(name, namespace)
    return folders


def ours() -> set[str]:
    """The names under which instrumentors of libraries that we measure ourselves may be known."""
    names = {name.replace("-", "_") for name, _module, _awaited in INSTRUMENTS}
    return names | {theirs for theirs, own in OURS.items() if own in names} | {"dbapi"}


def is_left_to_us(name: str) -> bool:
    """Whether an entry point is one that the program gets from here: now, or when its library is imported."""
    plain = name.replace("-", "_")
    return plain in ours() or plain in VITALS or any(plain in entry for entry in (_folders, states))


def take_over(name: str) -> None:
    """Loads the instrumentor of a library whose version our own instrument does not know, where there is one."""
    folder = name.replace("-", "_")
    if folder in _folders and name not in _disabled:
        _load(folder, (folder, name))


def left_alone() -> dict[str, str]:
    """Libraries that the program's environment has and nobody measures, with the package that would."""
    from importlib.util import find_spec

    alone = {}
    for module, package in PUBLISHED.items():
        try:
            there = find_spec(module) is not None
        except (ImportError, ValueError):  # a part of a package that is not there
            there = False
        if there and package not in found():
            alone[module] = f"opentelemetry-instrumentation-{package}"
    return alone


def uninstall() -> None:
    """Puts the libraries back as they were."""
    while _on:
        _on.pop().uninstrument()
    states.clear()
    _folders.clear()


class _Loader:
    """Loads what one folder has when its library has been imported."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self, imported: ModuleType) -> None:
        _load(self.folder)


def _load(folder: str, wanted: Collection[str] = ()) -> None:
    """Switches on the instrumentors of a folder: all that are not ours, or those of the names that are wanted."""
    own = ours()
    for entry in _entry_points(folder):
        name = entry.name
        if name in states or not (name in wanted if wanted else name.replace("-", "_") not in own):
            continue
        try:
            states[name] = f"contrib: {_switched_on(entry)}"
        except Exception as error:
            states[name] = f"contrib: off: {type(error).__name__}: {error}"


def _entry_points(folder: str) -> list[EntryPoint]:
    from importlib.metadata import entry_points

    module = f"{_folders[folder]}.{folder}"
    return [entry for entry in entry_points(group=GROUP) if f"{entry.module}.".startswith(f"{module}.")]


def _switched_on(entry: EntryPoint) -> str:
    """`on`, or `off:` and why."""
    if entry.name.lower() in _disabled:
        return "off: disabled by OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
    from opentelemetry.instrumentation.dependencies import get_dist_dependency_conflicts

    conflict = get_dist_dependency_conflicts(entry.dist)  # type: ignore[arg-type, unused-ignore]
    if conflict:
        return f"off: {conflict}"
    instrumentor = entry.load()()
    if not instrumentor.is_instrumented_by_opentelemetry:
        # The conventions that our own instruments follow; it is read once, by the first instrumentor.
        before = os.environ.get(CONVENTIONS)
        os.environ.setdefault(CONVENTIONS, "http,database")
        try:
            instrumentor.instrument(skip_dep_check=True)
        finally:
            if before is None:
                del os.environ[CONVENTIONS]
        _on.append(instrumentor)
    return "on"


CONVENTIONS = "OTEL_SEMCONV_STABILITY_OPT_IN"

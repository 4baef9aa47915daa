"""The import hook: an instrument is loaded when the program has imported its library, never before."""

from __future__ import annotations

import sys

from perfagent.runtime import guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

    Callback = Callable[[ModuleType], None]


class Finder:
    """A finder for `sys.meta_path` that finds nothing itself: it lets the others find, and adds what happens after.

    An import of a module that nobody waits for costs one dict look-up.
    """

    def __init__(self) -> None:
        self.waiting: dict[str, list[Callback]] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec that another finder gives for a module that somebody waits for; else None."""
        if name not in self.waiting:
            return None
        for finder in sys.meta_path:
            find = None if finder is self else getattr(finder, "find_spec", None)
            spec = find(name, path, target) if find is not None else None
            if spec is not None:
                self._arrange(spec)
                return spec  # type: ignore[no-any-return]
        return None

    def _arrange(self, spec: ModuleSpec) -> None:
        """Makes the loader of this one module call back. The loader stays the object it is, so nobody sees another."""
        loader = spec.loader
        run = getattr(loader, "exec_module", None)
        if run is None:
            return
        if isinstance(loader, type):  # of modules in C that are linked in or frozen: one class for all of them
            spec.loader = Once(loader, self)
            return

        def exec_module(module: ModuleType) -> None:
            try:
                del loader.exec_module  # type: ignore[union-attr]
            except AttributeError:
                pass
            run(module)
            self.arrived(module)

        try:
            loader.exec_module = exec_module  # type: ignore[union-attr, method-assign]
        except AttributeError:  # a loader without attributes of its own: frozen or built in
            guard.failures.setdefault(f"import of {spec.name}", 0)

    def arrived(self, module: ModuleType) -> None:
        """Calls whoever waits for `module`."""
        for callback in self.waiting.pop(module.__name__, ()):
            try:
                callback(module)
            except Exception:
                guard.failed(f"instrument of {module.__name__}")


class Once:
    """A loader of one module that gives its place back to the real one before that runs.

    Args:
        loader: the real one.
        finder: is told when the module has arrived.
    """

    def __init__(self, loader: Any, finder: Finder) -> None:
        self.loader = loader
        self.finder = finder

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As the real loader does."""
        return self.loader.create_module(spec)  # type: ignore[no-any-return]

    def exec_module(self, module: ModuleType) -> None:
        """Runs the module, and tells of it."""
        module.__loader__ = self.loader
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        self.loader.exec_module(module)
        self.finder.arrived(module)


finder = Finder()


def install() -> None:
    """Puts the hook first in `sys.meta_path`."""
    if finder not in sys.meta_path:
        sys.meta_path.insert(0, finder)


def remove() -> None:
    """Takes the hook out; who still waits is forgotten."""
    finder.waiting.clear()
    if finder in sys.meta_path:
        sys.meta_path.remove(finder)


def when_imported(name: str, callback: Callback) -> None:
    """Calls `callback` with the module of that name: now if it is imported, else as soon as it is."""
    finder.waiting.setdefault(name, []).append(callback)
    module = sys.modules.get(name)
    spec = getattr(module, "__spec__", None)
    if module is not None and not getattr(spec, "_initializing", False):
        finder.arrived(module)

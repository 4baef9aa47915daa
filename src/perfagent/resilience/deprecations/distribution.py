"""Which installed distribution a file belongs to, and its version, as the folders beside it tell.

`importlib.metadata` costs 20 ms to import and reads every distribution's files; the names of folders tell mostly.
"""

from __future__ import annotations

import os
import sys

FOLDERS = ("/site-packages/", "/dist-packages/")
_installed: dict[str, dict[str, tuple[str, str, str]]] = {}
_found: dict[tuple[str, str], tuple[str, str]] = {}


def of(file: str) -> tuple[str, str]:
    """Name and version of the distribution of a file; ("python", its version) for the standard library; ("", "") for
    the program's own.

    Args:
        file: a path, as code objects have it.
    """
    path = file.replace(os.sep, "/")
    for part in FOLDERS:
        before, folder, rest = path.rpartition(part)
        if folder:
            return _of_package(before + folder.rstrip("/"), rest.partition("/")[0].removesuffix(".py"))
    standard = os.path.dirname(os.path.realpath(os.__file__)) + os.sep
    if file.startswith(("<frozen ", os.path.dirname(os.__file__) + os.sep, standard)):
        return "python", sys.version.partition(" ")[0]
    return "", ""


def _of_package(root: str, package: str) -> tuple[str, str]:
    key = (root, package)
    found = _found.get(key)
    if found is None:
        if len(_found) > 1000:
            _found.clear()
        found = _found[key] = _look(root, package)
    return found


def _look(root: str, package: str) -> tuple[str, str]:
    distributions = _distributions(root)
    named = distributions.get(_normal(package))
    if named is not None:
        return named[:2]
    for name, version, folder in distributions.values():
        if package in _modules(os.path.join(root, folder)):
            return name, version
    return package.partition(".")[0], ""


def _distributions(root: str) -> dict[str, tuple[str, str, str]]:
    """The distributions of a folder by their normal names: name, version, and the folder of their metadata."""
    found = _installed.get(root)
    if found is None:
        found = _installed[root] = {}
        try:
            entries = os.listdir(root)
        except OSError:
            entries = []
        for entry in entries:
            stem = entry.removesuffix(".dist-info")
            if stem != entry:
                name, _, version = stem.partition("-")
                found[_normal(name)] = (_normal(name), version, entry)
    return found


def _modules(metadata: str) -> set[str]:
    """The top-level modules of a distribution, as `top_level.txt` or the list of its files has them."""
    try:
        with open(os.path.join(metadata, "top_level.txt"), encoding="utf-8") as file:
            return set(file.read().split())
    except (OSError, ValueError):
        pass
    try:
        with open(os.path.join(metadata, "RECORD"), encoding="utf-8") as file:
            return {line.partition(",")[0].partition("/")[0].removesuffix(".py") for line in file}
    except (OSError, ValueError):
        return set()


def _normal(name: str) -> str:
    """As the packaging specification has names: lower case, one hyphen for each run of `-_.`."""
    return "-".join(part for part in name.lower().replace("_", "-").replace(".", "-").split("-") if part)

"""The environment that carries perfagent into a program and its children: one entry of PYTHONPATH."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from typing import Any

BOOTSTRAP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bootstrap")
"""The folder that holds our sitecustomize.py and nothing else, so it shadows no package."""


def enter(environ: MutableMapping[str, str]) -> None:
    """Puts our sitecustomize first on PYTHONPATH; once, however often it is called."""
    leave(environ)
    rest = environ.get("PYTHONPATH")
    environ["PYTHONPATH"] = BOOTSTRAP + os.pathsep + rest if rest else BOOTSTRAP


def stay_first(environ: MutableMapping[str, str]) -> None:
    """Before the program becomes another: another agent's launcher may have put its own sitecustomize before ours, and
    not every one of them goes on to the next, as ours does.
    """
    entries = environ.get("PYTHONPATH", "").split(os.pathsep)
    if BOOTSTRAP in entries[1:]:
        enter(environ)


def with_us_first(environ: Any) -> Any:
    """The same for an environment that is the program's own, and stays as it is."""
    if BOOTSTRAP not in environ.get("PYTHONPATH", "").split(os.pathsep)[1:]:
        return environ
    changed = dict(environ)
    enter(changed)
    return changed


def leave(environ: MutableMapping[str, str]) -> None:
    """Takes it out again, so that what this process starts is not measured."""
    entries = [entry for entry in environ.get("PYTHONPATH", "").split(os.pathsep) if entry and entry != BOOTSTRAP]
    if entries:
        environ["PYTHONPATH"] = os.pathsep.join(entries)
    else:
        environ.pop("PYTHONPATH", None)

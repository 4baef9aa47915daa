"""Packages of the extra `cache`: imported when a cache first needs them."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def needed(module: str, what: str, package: str) -> Any:
    """The module.

    Args:
        module: its dotted name.
        what: what needs it, for the message.
        package: what it is called by pip.

    Raises:
        ImportError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError:
        raise ImportError(f'{what} needs {package}: pip install "perfagent[cache]"') from None

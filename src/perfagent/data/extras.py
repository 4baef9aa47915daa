"""The third-party packages of this part, imported when they are needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

# What a distribution is called where its module has another name.
_DISTRIBUTIONS = {"sqlalchemy": "SQLAlchemy"}


def need(module: str, purpose: str) -> Any:
    """A module of the extra `data`.

    Args:
        module: its name, such as "pandas".
        purpose: what needs it, as the user called it.

    Raises:
        ImportError: where it is not installed, with the command that installs it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        top = module.partition(".")[0]
        if getattr(error, "name", top) not in (top, module):  # it is there, and misses something of its own
            raise
        name = _DISTRIBUTIONS.get(top, top)
        raise ImportError(f'{purpose} needs {name}: pip install "perfagent[data]"', name=top) from None


def wrong(entry: str, value: object, rule: str, example: str) -> ValueError:
    """A ValueError that tells what was given, what is accepted, and an example."""
    return ValueError(f"{entry}={value!r} is not accepted: {rule}; for example {example}")

"""Feature flags: a JSON file that is read again when it changes, so that they can be turned while a program runs."""

from __future__ import annotations

import json
import os
from typing import Any

_PATH = os.environ.get("MARKET_FLAGS", "")
_known: tuple[int, dict[str, Any]] = (0, {})


def get(name: str, default: Any = None) -> Any:
    """The value of a flag, `default` where the file does not have it."""
    global _known
    try:
        changed = os.stat(_PATH).st_mtime_ns
    except OSError:
        return default
    if changed != _known[0]:
        with open(_PATH, encoding="utf-8") as file:
            _known = changed, json.load(file)
    return _known[1].get(name, default)

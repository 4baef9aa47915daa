"""What the profilers write into files: JSON documents that bear their format."""

from __future__ import annotations

import json
from typing import Any


def read(path: str, form: str, otherwise: str) -> dict[str, Any]:
    """The document in a file.

    Args:
        path: of the file.
        form: what its key `format` must say.
        otherwise: what is told of a file that is none, after its path.

    Raises:
        ValueError: it is none of that form.
        OSError: it cannot be read.
    """
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read()
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or found.get("format") != form:
        raise ValueError(f"{path} {otherwise}")
    return found

"""The settings file: `perfagent.toml`, or `[tool.perfagent]` in `pyproject.toml`, of the working directory."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def read(directory: str, report: Callable[[str], None]) -> tuple[dict[str, str], str]:
    """The keys, in lower case, with their values as text, and the path of the file; ({}, "") where there is none.

    Args:
        directory: where it is looked for.
        report: told in one line where a file is there and cannot be read.
    """
    values, path = document(directory, report)
    return {key.lower(): _as_text(value) for key, value in values.items()}, path


def document(directory: str, report: Callable[[str], None]) -> tuple[dict[str, object], str]:
    """The same as TOML has it: keys and values of any kind, as in a `[[slo]]` table."""
    for name, marker in (("perfagent.toml", b""), ("pyproject.toml", b"[tool.perfagent")):
        path = os.path.join(directory, name)
        try:
            with open(path, "rb") as file:
                content = file.read()
        except OSError:
            continue
        if marker in content:  # saves the 8 ms that importing a TOML parser takes
            values = _parse(content, path, report)
            if marker:
                values = values.get("tool", {}).get("perfagent", {})  # type: ignore[attr-defined]
            return values, path
    return {}, ""


def _parse(content: bytes, path: str, report: Callable[[str], None]) -> dict[str, object]:
    try:
        if sys.version_info >= (3, 11):
            import tomllib
        else:
            import tomli as tomllib
    except ImportError:
        report(f"{path} is not read: on Python 3.10 that takes `pip install tomli`")
        return {}
    try:
        return tomllib.loads(content.decode("utf-8", "replace"))
    except tomllib.TOMLDecodeError as error:
        report(f"{path} is not valid TOML ({error}); going on without it")
        return {}


def _as_text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(str(part) for part in value)
    if isinstance(value, dict):
        if any(isinstance(part, dict) for part in value.values()):
            import json

            return json.dumps(value, default=str)
        return ",".join(f"{key}={part}" for key, part in value.items())
    return str(value)

"""The settings file: `perfagent.toml`, or `[tool.perfagent]` in `pyproject.toml`, of the working directory."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def layers(directory: str, environment: str, report: Callable[[str], None]) -> list[tuple[dict[str, str], str]]:
    """What the file sets, the more particular first: keys, in lower case, with their values as text, and their origin.

    A table `[environments.production]` holds what differs in that environment.

    Args:
        directory: where the file is looked for.
        environment: the environment that the process runs in; where "", the file's own key `environment` tells.
        report: told in one line where a file is there and cannot be read, or has nothing for that environment.
    """
    values, path = document(directory, report)
    if not values:
        return []
    particular = values.pop("environments", {})
    found = [(_texts(values), path)]
    environment = environment or found[0][0].get("environment", found[0][0].get("perfagent_environment", ""))
    if not environment or not particular:
        return found
    own = particular.get(environment) if isinstance(particular, dict) else None
    if isinstance(own, dict):
        return [(_texts(own), f"{path} [environments.{environment}]"), *found]
    known = ", ".join(sorted(particular)) if isinstance(particular, dict) else "none, for that is no table"
    report(f"{path} has nothing for PERFAGENT_ENVIRONMENT={environment!r}: it has [environments.…] for {known}")
    return found


def _texts(values: dict[str, object]) -> dict[str, str]:
    return {key.lower(): _as_text(value) for key, value in values.items()}


def document(directory: str, report: Callable[[str], None]) -> tuple[dict[str, object], str]:
    """The file as TOML has it, keys and values of any kind, as in a `[[slo]]` table; and its path. ({}, "") where there
    is none.
    """
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

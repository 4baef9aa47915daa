"""`perfagent config`: every setting, its value and where it came from."""

from __future__ import annotations

import argparse
import json

from perfagent.settings import tables

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.settings.options import Option

SECRET = ("headers", "key", "token", "password", "dsn", "alert_channels")


def main(words: list[str]) -> int:
    """Prints the settings as a program started here would get them; returns 0, or 1 where one is malformed."""
    parser = argparse.ArgumentParser(
        prog="perfagent config",
        description="Shows every setting, its value and where it came from: the environment, perfagent.toml or "
        "[tool.perfagent] of pyproject.toml in this directory, or the default.",
    )
    parser.add_argument("name", nargs="*", help="only settings whose name contains this")
    parser.add_argument("--set", action="store_true", help="only those that differ from the default")
    parser.add_argument("--output", choices=("table", "json", "markdown"), default="table")
    asked = parser.parse_args(words)
    if asked.output == "markdown":
        print(reference(), end="")
        return 0
    found = [table() for table in tables()]
    rows = [
        {"name": option.name, "value": _shown(option.name, value), "origin": origin, "help": option.help}
        for table in found
        for option, value, origin in table.origins()
        if all(part.lower() in option.name.lower() for part in asked.name) and (not asked.set or origin != "default")
    ]
    problems = [problem for table in found for problem in table.problems]
    if asked.output == "json":
        print(json.dumps({"settings": rows, "problems": problems}, indent=2, default=str))
    else:
        for row in rows:
            print(f"{row['name']} = {row['value']}   ({row['origin']})\n    {row['help']}")
        print(f"{len(rows)} of {sum(len(table.options()) for table in found)} settings")
    return 1 if problems else 0


def reference() -> str:
    """The reference page of the settings, docs/reference/settings.md."""
    lines = [
        "# Settings",
        "",
        "Each is an environment variable. In `perfagent.toml`, or under `[tool.perfagent]` in `pyproject.toml`, the",
        "key is the same name in lower case; `perfagent_` may be left out. The environment wins. A malformed value is",
        "reported in one line on standard error, and the default serves. `perfagent config --output markdown` makes",
        "this page.",
    ]
    for table in tables():
        lines += ["", f"## {table.title}", "", "| name | default | accepted | what it does |", "|---|---|---|---|"]
        lines += map(_row, table.options())
    return "\n".join(lines) + "\n"


def _row(option: Option) -> str:
    unit = f" {option.unit}" if option.unit else ""
    default = f"`{_shown('', option.default)}`{unit}" if option.default not in ("", (), {}) else "none"
    also = f" Also `{'`, `'.join(option.names[1:])}`." if option.names[1:] else ""
    return f"| `{option.name}` | {default} | {option.accepts} | {option.help}{also} |".replace("||", r"\|\|")


def _shown(name: str, value: object) -> object:
    """The value, unless it is one that a screen should not show."""
    if value and any(word in name.lower() for word in SECRET) and "capture" not in name.lower():
        return "(set, not shown)"
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, dict):
        return ",".join(f"{key}={part}" for key, part in value.items())
    if isinstance(value, str) and "://" in value and "@" in value:  # a password in an address
        scheme, _, rest = value.partition("://")
        return f"{scheme}://…@{rest.rpartition('@')[2]}"
    return value

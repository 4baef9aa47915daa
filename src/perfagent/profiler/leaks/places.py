"""File and line of a name in the program, from its source: where it is assigned, and what puts things into it."""

from __future__ import annotations

import re
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.profiler.leaks.names import Place

LARGEST = 4_000_000  # bytes of a source file


def assigned(place: Place) -> tuple[str, int] | None:
    """File and line where what a place names is assigned first; None where that cannot be told."""
    path = place.code[0] if place.code else _file(place.module)
    lines = source(path)
    if lines is None:
        return None
    name = re.escape(place.name)
    if place.code is not None:
        at = place.code[1]
        if place.name == "(defaults)":
            return path, at
        pattern = re.compile(rf"\s*(nonlocal\s+)?{name}\s*(:[^=]+)?=[^=]")
        above = (number for number in range(min(at, len(lines)), 0, -1) if pattern.match(lines[number - 1]))
        return path, next(above, at)
    if not place.owner:
        return _first(path, lines, rf"{name}\s*(:[^=]+)?=[^=]", 0)
    begin = next((number for number, line in enumerate(lines) if re.match(rf"\s*class\s+{place.owner}\b", line)), None)
    if begin is None:
        return None
    return (
        _first(path, lines, rf"\s+self\.{name}\s*(:[^=]+)?=[^=]", begin)
        or _first(path, lines, rf"\s+{name}\s*(:.+)?(=[^=]|$)", begin)
        or (path, begin + 1)
    )


def filled(place: Place) -> tuple[str, int] | None:
    """The one line of its module that puts something into what a place names; None where there are several or none."""
    path = place.code[0] if place.code else _file(place.module)
    lines = source(path)
    if lines is None or not place.name.isidentifier():
        return None
    name = re.escape(place.name)
    before = r"\b(?:self|cls)\." if place.owner and place.code is None else r"(?<![\w.])"
    pattern = re.compile(
        rf"{before}{name}\s*(?:\[[^\]]*\])?\s*(?:\.(?:append|appendleft|add|insert|setdefault)\(|\[[^\]]+\]\s*=[^=]|\+=)"
    )
    found = [number for number, line in enumerate(lines, 1) if pattern.search(line)]
    return (path, found[0]) if len(found) == 1 else None


def function_at(path: str, line: int) -> str:
    """The function that a line is in; "" where it is in none."""
    lines = source(path)
    if lines is None or not 0 < line <= len(lines):
        return ""
    whole = re.match(r"\s*(?:async\s+)?def\s+(\w+)\(.*:\s*\S", lines[line - 1])
    if whole:
        return whole[1]
    indent = _indent(lines[line - 1])
    for number in range(line - 1, 0, -1):
        above = lines[number - 1]
        if above.strip() and _indent(above) < indent:
            found = re.match(r"\s*(?:async\s+)?def\s+(\w+)", above)
            if found:
                return found[1]
            indent = _indent(above)
    return ""


def source(path: str) -> list[str] | None:
    """The lines of a file; None where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(LARGEST).splitlines()
    except (OSError, ValueError):
        return None


def _file(module: str) -> str:
    found = sys.modules.get(module)
    file = vars(found).get("__file__") if found is not None else None
    return file if isinstance(file, str) else ""


def _first(path: str, lines: list[str], pattern: str, begin: int) -> tuple[str, int] | None:
    compiled = re.compile(pattern)
    for number in range(begin, len(lines)):
        if compiled.match(lines[number]):
            return path, number + 1
    return None


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())

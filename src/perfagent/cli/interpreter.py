"""Which interpreter a command is run by, for commands that look at what a program would have."""

from __future__ import annotations

import os
import re
import shutil

_PYTHON = re.compile(r"(python|pypy)[\d.]*[tdw]*(\.exe)?")
_LEAVES_US_OUT = frozenset("IES")
"""Options of an interpreter without which our sitecustomize is not found, or other libraries are."""


class UnknownError(Exception):
    """No interpreter is known; the text says what to give instead."""


def of(words: list[str]) -> list[str]:
    """The interpreter of a command, with those of its options that decide what it imports.

    Args:
        words: an interpreter, an environment's folder, or a command as after `perfagent run`, such as
            `uvicorn shop.app:app` and `python -m shop`; none means `python`.

    Raises:
        UnknownError: the command is none of Python's, or is not there.
    """
    while words[:2] == ["perfagent", "run"]:
        words = words[2:]
    if not words:
        return ["python"]
    first = words[0]
    if os.path.isdir(first):
        inside = os.path.join(first, "bin", "python")
        if os.path.exists(inside):
            return [inside]
        raise UnknownError(f"{first} is a folder without bin/python; {_GIVE}")
    if _PYTHON.fullmatch(os.path.basename(first)):
        return [first, *_options(words[1:])]
    if first.endswith((".py", ".pyw")):
        return _of_script(first) or ["python"]
    path = shutil.which(first)
    if path is None:
        raise UnknownError(f"there is no command {first}; {_GIVE}")
    if _PYTHON.fullmatch(os.path.basename(os.path.realpath(path))):  # a link with a name of its own
        return [first, *_options(words[1:])]
    found = _of_script(path)
    if found is None:
        raise UnknownError(f"{path} does not tell which interpreter it runs; {_GIVE}")
    return found


_GIVE = "give the program's interpreter, such as `perfagent doctor .venv/bin/python`, or the command that starts it"


def _options(words: list[str]) -> list[str]:
    options = []
    for word in words:
        if not re.fullmatch("-[A-Za-z]+", word) or word in ("-m", "-c"):
            break
        if _LEAVES_US_OUT & set(word):
            options.append(word)
    return options


def _of_script(path: str) -> list[str] | None:
    """The interpreter in a script's first line, or in the second where the first is a shell's for a long path."""
    try:
        with open(path, "rb") as file:
            head = file.read(2048)
    except OSError:
        return None
    if not head.startswith(b"#!"):
        return None
    first, _, rest = head[2:].decode(errors="replace").partition("\n")
    words = first.split()
    if words and os.path.basename(words[0]) == "env":
        words = [word for word in words[1:] if word != "-S"]
    elif words and os.path.basename(words[0]) == "sh":  # as pip writes it: '''exec' "/a long path/bin/python" "$0" "$@"
        words = [found[1] or found[2]] if (found := re.match(r"'''exec' (?:\"([^\"]+)\"|(\S+))", rest)) else []
    if not words or not _PYTHON.fullmatch(os.path.basename(words[0])):
        return None
    return [words[0], *_options(words[1:])]

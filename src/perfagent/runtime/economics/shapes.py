"""The shape of a key, such as `user:{}:profile`: what many keys have in common, without what may be a value.

A word of a key is shown only where the program's own code has it as a text near the call, or where at least five keys
share it and they are not a few among very many. Numbers, hexadecimal digits, UUIDs, addresses and long words are
values, always.
"""

from __future__ import annotations

import re
import sys
from types import CodeType, FunctionType, ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

VALUE = "{}"
SHARED = 5  # keys
SHARE = 0.02
MOST_PARTS = 12
MOST_PLACES = 2000
MOST_WORDS = 5000
MOST_FILES = 20
LONGEST_KEY = 512

_certain = re.compile(
    r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[\w.+-]+@[\w-]+(?:\.[\w-]+)+|(?<![0-9a-z])[0-9a-f]{16,}(?![0-9a-z])",
    re.IGNORECASE,
)
"""What is a value whatever stands around it: a UUID, an address, a hash."""
_separators = re.compile(r"([^\w.+%-]+|(?<=[A-Za-z])\.(?=[A-Za-z])|[_-](?=\d)|(?<=\d)[_-])")
_word = re.compile(r"[A-Za-z](?:[A-Za-z_-]{0,30}[A-Za-z])?|v\d{1,2}")
_text_words = re.compile(r"[A-Za-z][A-Za-z_-]*|v\d{1,2}")
_hexadecimal = re.compile(r"[0-9a-f-]{8,}", re.IGNORECASE)


class Shapes:
    """The shapes of one cache's keys; they get more telling as more keys are seen."""

    def __init__(self) -> None:
        self.version = 0
        """Grows whenever a shape may have become another one."""
        self._keys: dict[tuple[str, ...], int] = {}
        self._shown: set[tuple[str, ...]] = set()
        self._words: set[str] = set()
        self._files: set[str] = set()

    def of(self, key: Any, is_new: bool) -> tuple[str, ...]:
        """The shape of a key in its parts, which joined make its text.

        Args:
            key: a text, bytes, or anything else, of which only its type is told.
            is_new: whether it was not seen before, so that it counts.
        """
        parts = split(key)
        shape: list[str] = []
        for part, word in parts:
            if not word:
                shape.append(part)
                continue
            place = tuple(shape)
            told = VALUE if not _word.fullmatch(part) or _hexadecimal.fullmatch(part) else part
            if is_new:
                self._count(place, told)
            if told is not VALUE and (told in self._words or self._is_shared(place, told)):
                shape.append(told)
            else:
                shape.append(VALUE)
        return joined(shape)

    def learn(self, code: CodeType) -> None:
        """Takes the words of the program's own texts from the file that a caller's code is in, once a file."""
        name = code.co_filename
        if name in self._files or len(self._files) >= MOST_FILES:
            return
        self._files.add(name)
        before = len(self._words)
        for text in _texts(code, name):
            if len(self._words) >= MOST_WORDS:
                break
            if len(text) <= 120:
                self._words.update(_text_words.findall(text))
        if len(self._words) > before:
            self.version += 1

    def _count(self, place: tuple[str, ...], told: str) -> None:
        for one in (place, (*place, told)):
            number = self._keys.get(one, 0) + 1
            if number > 1 or len(self._keys) < MOST_PLACES:
                self._keys[one] = number

    def _is_shared(self, place: tuple[str, ...], told: str) -> bool:
        one = (*place, told)
        keys = self._keys.get(one, 0)
        shared = keys >= SHARED and keys >= SHARE * self._keys.get(place, 0)
        if shared != (one in self._shown):
            self.version += 1
            (self._shown.add if shared else self._shown.discard)(one)
        return shared


def split(key: Any) -> list[tuple[str, bool]]:
    """The parts of a key, each with whether it may be a word; a key of another type is one part, its type."""
    if isinstance(key, (bytes, bytearray)):
        key = bytes(key[:LONGEST_KEY]).decode("utf-8", "replace")
    if not isinstance(key, str):
        return [(VALUE, False)]
    found = _separators.split(_certain.sub("0", key[:LONGEST_KEY]))
    parts = [(part, position % 2 == 0) for position, part in enumerate(found) if part]
    parts = [(part, True) if word else (part if len(part) <= 3 and part.isascii() else VALUE, False)
             for part, word in parts]  # fmt: skip
    return [*parts[:MOST_PARTS], (VALUE, False)] if len(parts) > MOST_PARTS else parts


def joined(shape: Iterable[str]) -> tuple[str, ...]:
    """A shape whose neighbouring values are one."""
    found: list[str] = []
    for part in shape:
        if part is not VALUE or not found or found[-1] is not VALUE:
            found.append(part)
    return tuple(found)


def _texts(code: CodeType, name: str) -> Iterable[str]:
    """The texts in a module's functions and variables; where the module is not found, those of the function."""
    yield from _of_code(code, 0)
    for module in sys.modules.copy().values():
        # A module that is loaded when it is touched, or a proxy among what one has, is left alone.
        file = vars(module).get("__file__") if type(module) is ModuleType else None
        if type(file) is str and file == name:
            for value in list(vars(module).values()):
                if type(value) is str:
                    yield value
                elif type(value) is FunctionType and value.__code__.co_filename == name:
                    yield from _of_code(value.__code__, 0)
            return


def _of_code(code: CodeType, depth: int) -> Iterable[str]:
    for one in code.co_consts:
        if type(one) is str:
            yield one
        elif type(one) is CodeType and depth < 4:
            yield from _of_code(one, depth + 1)

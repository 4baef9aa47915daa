"""What arguments are accepted: each check returns the value as it is used, or raises and says what would do."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

FOREVER = math.inf


def ttl(name: str, value: object, zero: bool = False) -> float:
    """A time to live in seconds.

    Args:
        name: of the argument.
        value: a number, `math.inf` for ever, or a `timedelta`.
        zero: whether 0 is accepted.

    Raises:
        ValueError: it is none.
    """
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or math.isnan(seconds) or seconds < 0:
        raise ValueError(_refused(name, value, zero))
    if seconds == 0 and not zero:
        raise ValueError(_refused(name, value, zero))
    return float(seconds)


def _refused(name: str, value: object, zero: bool) -> str:
    least = "from 0" if zero else "above 0"
    return f"{name}={value!r} is not accepted: a number of seconds {least}, math.inf or a timedelta, such as {name}=60"


def whole(name: str, value: object, low: int, example: int) -> int:
    """A whole number from `low` on; raises ValueError where it is none."""
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise ValueError(f"{name}={value!r} is not accepted: a whole number from {low}, such as {name}={example}")
    return value


def share(name: str, value: object) -> float:
    """A number from 0 to .9; raises ValueError where it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 0.9:
        raise ValueError(f"{name}={value!r} is not accepted: a share from 0 to 0.9, such as {name}=0.1")
    return float(value)


def word(name: str, value: object, example: str) -> str:
    """A text that is not empty; raises ValueError where it is none."""
    if not isinstance(value, str) or not value or len(value) > 255 or not value.isprintable():
        raise ValueError(
            f"{name}={value!r} is not accepted: a text of 1 to 255 printable characters, such as {name}={example!r}"
        )
    return value


def tags(value: object) -> tuple[str, ...]:
    """Tags, each once; raises ValueError where one is none, or a text was given in place of a list of them."""
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        raise ValueError(f"tags={value!r} is not accepted: several texts, such as tags=['prices']")
    found: Iterable[object] = value
    return tuple(dict.fromkeys(word("tag", tag, "prices") for tag in found))

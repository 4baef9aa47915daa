"""What a process may use: memory and processors, and from when on it warns."""

from __future__ import annotations

from perfagent.settings.options import Option
from perfagent.settings.source import Table

UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}
SMALLEST = 1_000_000  # bytes; a process that Python runs in takes more


class Amount:
    """So much of something: an absolute number, or a share of what there is.

    Args:
        text: as it was written.
        value: bytes, cores, or the share.
        is_share: which of the two.
    """

    __slots__ = ("is_share", "text", "value")

    def __init__(self, text: str, value: float, is_share: bool) -> None:
        self.text = text
        self.value = value
        self.is_share = is_share

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__

    def of(self, whole: float) -> float:
        """The absolute number, where `whole` is all that there is."""
        return self.value * whole if self.is_share else self.value


def share(text: str) -> float:
    """The share that `80%`, `0.8` or `80` stand for; raises ValueError where it is none from above 0 to 1."""
    word = text.strip()
    value = float(word.removesuffix("%"))
    if word.endswith("%") or value > 1:
        value /= 100
    if not 0 < value <= 1:
        raise ValueError(text)
    return value


def size(text: str) -> float:
    """The bytes that `512MB`, `2GiB` or `1.5 Gi` stand for; raises ValueError where there is no unit that is known."""
    word = text.strip()
    digits = word.rstrip("BbKkMmGgTtIi ")
    unit = word[len(digits) :].strip().upper()
    value = float(digits) * (UNITS[unit] if unit in UNITS else _bytes_alone(unit))
    if not SMALLEST <= value < 1e18:
        raise ValueError(text)
    return value


def _bytes_alone(unit: str) -> int:
    if unit:  # 512M is 10^6 to some and 2^20 to others
        raise ValueError(unit)
    return 1


class _Kind(Option):
    def __get__(self, settings: Table, owner: type) -> Amount | None:
        return self.read(settings) or None  # type: ignore[return-value]


class Memory(_Kind):
    """An amount of memory, or a share of what there is."""

    accepts = "a size with its unit such as 512MB or 2GiB, or a share such as 80%"

    def parse(self, text: str) -> Amount:
        """The amount, or ValueError."""
        if text.strip().endswith("%"):
            return Amount(text, share(text), True)
        return Amount(text, size(text), False)


class Threshold(_Kind):
    """A share, or an amount of memory."""

    accepts = "a share such as 80% or 0.8, or a size such as 400MB"

    def parse(self, text: str) -> Amount:
        """The amount, or ValueError."""
        if text.strip()[-1:].isalpha():
            return Amount(text, size(text), False)
        return Amount(text, share(text), True)


class Share(_Kind):
    """A share."""

    accepts = "a share such as 80% or 0.8"

    def parse(self, text: str) -> Amount:
        """The amount, or ValueError."""
        return Amount(text, share(text), True)


class Cores(_Kind):
    """A number of processors, or a share of those there are."""

    accepts = "a number of processors such as 1.5, 500m or 50%"

    def parse(self, text: str) -> Amount:
        """The amount, or ValueError."""
        word = text.strip()
        if word.endswith("%"):
            return Amount(text, share(text), True)
        value = float(word[:-1]) / 1000 if word.endswith("m") else float(word)
        if not 0.01 <= value <= 10_000:
            raise ValueError(text)
        return Amount(text, value, False)


class LimitSettings(Table):
    """What the process may use, each process for itself; arguments as for `Table`."""

    title = "Resource limits"

    max_memory = Memory(
        "MAX_MEMORY",
        "",
        "Most memory of the process: beyond it background tasks wait. The container's limit, for all that runs in it, "
        "when left out.",
    )
    memory_warning = Threshold(
        "MEMORY_WARNING_THRESHOLD",
        Amount("80%", 0.8, True),
        "From when on it warns and slows background tasks down: a share of MAX_MEMORY, or a size.",
    )
    max_cores = Cores(
        "MAX_CPU_CORES",
        "",
        "Most processors' worth of CPU time of the process; the container's quota, for all that runs in it, when left "
        "out.",
    )
    cpu_warning = Share(
        "CPU_WARNING_THRESHOLD",
        Amount("80%", 0.8, True),
        "From when on it warns and slows background tasks down: a share of MAX_CPU_CORES.",
    )

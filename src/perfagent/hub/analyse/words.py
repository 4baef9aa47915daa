"""Figures as people read them, in the sentences of findings, changes and alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def milliseconds(value: float | None) -> str:
    """A duration with two or three significant figures, such as "0.42 ms", "84 ms" or "1.9 s"."""
    if value is None:
        return "unknown"
    if abs(value) >= 60_000:
        return f"{value / 60_000:.1f}".removesuffix(".0") + " min"
    if abs(value) >= 1000:
        return f"{value / 1000:.3g} s" if abs(value) < 10_000 else f"{value / 1000:.0f} s"
    return f"{value:.0f} ms" if abs(value) >= 10 else f"{value:.2g} ms"


def percent(share: float | None) -> str:
    """A share of 0..1, such as "0.4 %" or "38 %"."""
    if share is None:
        return "unknown"
    value = share * 100
    return f"{value:.0f} %" if value >= 10 or value == 0 else f"{value:.2g} %"


def count(value: float) -> str:
    """A number of things, such as "1,234"; fewer than ten keep a decimal where they have one."""
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def size(value: float) -> str:
    """Bytes, such as "182 MB"."""
    for unit in ("B", "kB", "MB"):
        if abs(value) < 1000:
            return f"{value:.0f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def times(value: float) -> str:
    """How often, such as "8 times"."""
    return "once" if value == 1 else f"{count(value)} times"


def place(caller: str) -> str:
    """Where a call came from, with the last two parts of its file's path: "shop/orders.py:35 list_orders"."""
    file, space, function = caller.partition(" ")
    return "/".join(file.rsplit("/", 2)[-2:]) + space + function


def shorten(text: str, width: int = 120) -> str:
    """A text in one line that fits."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


def several(names: Sequence[str], most: int = 2) -> str:
    """Some names, such as "GET /a, GET /b and 3 more"."""
    shown, rest = ", ".join(names[:most]), len(names) - most
    return f"{shown} and {rest} more" if rest > 0 else shown

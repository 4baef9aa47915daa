"""What the disk spool is told: where it keeps what no receiver takes, and how much of it."""

from __future__ import annotations

from perfagent.settings.limits import SMALLEST, size
from perfagent.settings.options import Option, Text
from perfagent.settings.source import Table


class Size(Option):
    """A number of bytes, written with its unit or without."""

    accepts = "a size of at least 1MB, such as 100MB or 2GiB"

    def parse(self, text: str) -> int:
        """The bytes, or ValueError."""
        found = int(size(text))
        if found < SMALLEST:
            raise ValueError(text)
        return found

    def __get__(self, settings: Table, owner: type) -> int:
        return self.read(settings)  # type: ignore[return-value]


class SpoolSettings(Table):
    """Options of the disk spool; arguments as for `Table`."""

    title = "Disk spool"

    folder = Text(
        "PERFAGENT_SPOOL_DIR",
        "",
        "Folder for what the receiver does not take, such as /var/spool/perfagent: it is sent again when the receiver "
        "is back, by this process, another one of the same service, or its next start. Nothing is kept on disk when "
        "left out.",
    )
    size = Size(
        "PERFAGENT_SPOOL_SIZE",
        100_000_000,
        "Most bytes that the spool of one service keeps; beyond it the oldest are dropped and counted.",
        "By",
    )

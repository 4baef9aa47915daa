"""The file of one process: a head that tells who it is, and a slot for each request under way or done lately.

All of it is fixed in place, so that a request writes by one `pack_into`, and what a crash leaves behind can be read
whatever it interrupted. Times are of the monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

from struct import Struct

MAGIC = b"PERFFLT1"
SLOTS = 256
HEAD, SLOT = 1024, 512  # bytes
SIZE = HEAD + SLOTS * SLOT

FREE, UNDER_WAY, DONE = 0, 1, 2

VITAL = Struct("<qQQqqqB")
"""What is written anew all the time: the clock's offset, the last look, resident bytes, the kernel's count of
processes killed for memory, requests that found no slot, the exit status, and how it is known."""
VITAL_AT = len(MAGIC)
EXIT = Struct("<qB")
EXIT_AT = VITAL_AT + VITAL.size - EXIT.size
UNKNOWN, LEFT, BY_ITSELF, BY_PARENT = range(4)
"""How the end is known: not at all, the process replaced itself (`os.exec*`), it called `os._exit`, its parent saw."""

TEXT_AT = 128
"""`name=value` lines that never change."""

BEGIN = Struct("<QQ16s8s8s96sQHB")
"""Start, thread, trace, span, method, path; then what END writes."""
END = Struct("<QHB")
END_AT = BEGIN.size - END.size
"""End, status, state."""
NOTE_AT = 160
NOTE = Struct("<8s64s32sQ240s")
"""Added to what takes long: its span again, for the slot may have been given away; route, the thread's name, since when
it runs what it runs, and that.
"""


def offset(slot: int) -> int:
    """Where a slot begins."""
    return HEAD + slot * SLOT


def text(pairs: dict[str, object]) -> bytes:
    """The lines of the head, as many as there is room for."""
    lines = "".join(f"{name}={' '.join(str(value).split())}\n" for name, value in pairs.items())
    return lines.encode("utf-8", "replace")[: HEAD - TEXT_AT - 1]


def cut(value: object, most: int) -> bytes:
    """A text in UTF-8, of at most so many bytes."""
    return str(value).encode("utf-8", "replace")[:most]


def plain(raw: bytes) -> str:
    """The text of a field that zeros fill up; what was cut within a character loses that."""
    return raw.partition(b"\0")[0].decode("utf-8", "ignore")

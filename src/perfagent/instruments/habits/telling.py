"""How a habit is told: a notice about the program's own line, looked for on the stack only as often as it is needed."""

from __future__ import annotations

from perfagent.runtime import guard
from perfagent.runtime.context import current

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

    from perfagent.runtime.callers import Caller

ALWAYS = 64  # times that a habit of a library is looked for on the stack; after that, once in SELDOM
SELDOM = 16
_calls: dict[tuple[str, str], int] = {}


def tell(
    kind: str, what: str, frame: FrameType | None, text: str, attributes: Mapping[str, object] | None = None
) -> None:
    """Tells of a habit, at the program's own line at or above a frame; where there is none, it is a library's own.

    Args:
        kind: of the notice.
        what: the library, or the thing; told as `perfagent.<kind>.what`.
        frame: of who called us.
        text: a sentence for people; the place follows it.
        attributes: what is told besides, `perfagent.<kind>.` before each name.
    """
    try:
        times = _calls[kind, what] = _calls.get((kind, what), 0) + 1
        if times > ALWAYS and times % SELDOM:
            return
        from perfagent.runtime import callers  # here, as below, for most programs need it late or never

        caller = callers.nearest(frame)
        if caller is not None:
            tell_of(kind, what, caller, text, attributes)
    except Exception:
        guard.failed("habits")


def tell_of(kind: str, what: str, caller: Caller, text: str, attributes: Mapping[str, object] | None = None) -> None:
    """As `tell`, where the line is known."""
    from perfagent.runtime import callers
    from perfagent.runtime.notices import notice

    place = callers.attributes(caller)
    subject = f"{place['code.file.path']}:{place['code.line.number']}"
    told = {f"perfagent.{kind}.{name}": value for name, value in (attributes or {}).items()}
    told[f"perfagent.{kind}.what"] = what
    notice(kind, f"{subject} {what}", f"{text}, at {subject}", {**place, **told}, current.get())


def called_by(frame: FrameType | None, *packages: str) -> bool:
    """Whether one of the nearest frames belongs to a package that another habit looks at."""
    from perfagent.runtime.callers import name_of

    for _ in range(16):
        if frame is None:
            return False
        name = name_of(frame)
        if name.partition(".")[0] in packages or name in packages:
            return True
        frame = frame.f_back
    return False

"""The flight recorder, as a request meets it: it writes its slot of a file in memory as it begins and as it ends.

Both take 1.2 us. The file survives the process; `recorder` has it, which the watching thread looks after.
"""

from __future__ import annotations

from _thread import get_ident

from perfagent.flight import layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from mmap import mmap

    from perfagent.runtime.recorder import Recorder
    from perfagent.runtime.span import Span
    from perfagent.settings import Settings

begin: Callable[[Span, str, str], int] | None = None
"""Writes that a request begins: its span, method and path; returns its slot, -1 where there is none. None while off."""
end: Callable[[int, Span, int], None]
"""Writes that the request of a slot, its span, ended with a status."""
running: list[Span | None] = [None] * layout.SLOTS
"""What began last within the request of each slot; the looking thread sees whether it still runs."""
recorder: Recorder | None = None


def install(settings: Settings, say: Callable[[str], object]) -> None:
    """Starts the recorder, where there is a place for its file.

    Args:
        settings: where, and who this is.
        say: tells a person of a process that died.
    """
    global recorder
    if recorder is None and settings.flight:
        from perfagent.runtime.recorder import Recorder

        recorder = Recorder(settings, say)
        recorder.start()


def rename(span: Span, path: str) -> None:
    """What the request or message of a span is, where that is known only after its begin."""
    if recorder is not None and span.slot >= 0:
        recorder.rename(span.slot, path)


def writers(recorder: Recorder, view: mmap) -> tuple[Callable[[Span, str, str], int], Callable[[int, Span, int], None]]:
    """What `begin` and `end` are once there is a file.

    Args:
        recorder: whose slots they take.
        view: the file.
    """
    take, give, spans = recorder.free.popleft, recorder.free.append, recorder.spans
    begins, ends = layout.BEGIN.pack_into, layout.END.pack_into
    places = [layout.offset(slot) for slot in range(layout.SLOTS)]
    under_way, done, ends_at = layout.UNDER_WAY, layout.DONE, layout.END_AT

    def begin(span: Span, method: str, path: str) -> int:
        try:
            slot = take()
        except IndexError:
            recorder.missed += 1
            return -1
        try:
            begins(
                view, places[slot], span.started, get_ident(), span.trace_id, span.span_id, method.encode(),
                path.encode(), 0, 0, under_way,
            )  # fmt: skip
        except Exception:  # a lone surrogate, or no text at all
            give(slot)
            return -1
        spans[slot] = span
        return slot

    def end(slot: int, span: Span, status: int) -> None:
        if spans[slot] is not span:  # taken for forgotten meanwhile
            return
        spans[slot] = running[slot] = None
        ends(view, places[slot] + ends_at, span.ended, status, done)
        give(slot)

    return begin, end

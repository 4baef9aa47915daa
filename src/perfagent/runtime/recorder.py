"""Has the file of requests under way and answered last, and looks after it from the watching thread.

Its looks add the route and the query that runs to what takes longer, and tell of processes of this service that have
died.
"""

from __future__ import annotations

import os
import sys
from _thread import allocate_lock

from perfagent.flight import death, files, layout
from perfagent.runtime import clock, companions, flight, machine, resource
from perfagent.runtime.clock import monotonic, now, time_ns
from perfagent.runtime.watch import Look, watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable
    from mmap import mmap

    from perfagent.runtime.span import Span
    from perfagent.settings import Settings
else:
    from _collections import deque  # the rest of `collections` would add 2 ms to a start

LOOK = 0.2  # seconds between two looks at what is under way; what takes longer is told with its query
IDLE = 1.0  # seconds between two, while nothing is
SEARCH = 2.0  # seconds between two looks for the dead
SEARCHES = 100  # after which the files of other services are read again
COUNT_KILLS = 5  # looks
LONG = 200_000_000  # ns
_probe = [object()]
ALONE = sys.getrefcount(_probe[0])
"""References to what nobody but a list has, while it is counted."""
STALE = 5_000_000_000  # ns; a request that was ended by `end(time)` gives its slot back after that
PATH_AT = 8 + 8 + 16 + 8 + 8
PATH_LENGTH = 96


class Recorder(companions.Companion):
    """The file of this process, and what looks after it.

    Args:
        settings: where, and who this is.
        say: tells a person of a process that died.
    """

    def __init__(self, settings: Settings, say: Callable[[str], object]) -> None:
        self.settings = settings
        self.say = say
        self.place = ""
        self.exit_status: int | None = None
        self.look = Look("flight recorder", LOOK, self._look)
        self.reset()

    def reset(self) -> None:
        """In a forked child: a file of its own, made with its first request."""
        self.path = ""
        self.view: mmap | None = None
        self.spans: list[Span | None] = [None] * layout.SLOTS
        self.free = deque(range(layout.SLOTS))
        self.missed = 0
        self._looks = 0
        self._searched = 0.0
        self._searches = 0
        self._passed_over: set[str] = set()
        self._kills = -1
        self._noted: dict[int, bytes] = {}
        self._opening = allocate_lock()
        flight.running[:] = [None] * layout.SLOTS
        flight.begin = self._first

    def start(self) -> None:
        """Has the file looked after; without a thread that does there is no recorder."""
        watch.add(self.look)  # which ends before the file goes
        companions.all_of_them.append(self)
        if not watch.runs:
            flight.begin = None

    def stop(self) -> None:
        """At the end of the process: the file goes, unless `os._exit` left requests behind."""
        flight.begin = None
        watch.remove(self.look)
        if self.exit_status is not None and self.view is not None and any(self.spans):
            self._tell_end(self.exit_status, layout.BY_ITSELF)
        elif self.path:
            files.remove(self.path)

    def child_ended(self, pid: int, status: int) -> None:
        """Tells the file of a child what its parent knows of its end.

        Args:
            pid: the child.
            status: as `os.waitpid` gives it, of one that a signal ended.
        """
        path = files.of(self.place, pid) if self.place else ""
        if path:
            with open(path, "r+b", buffering=0) as file:
                file.seek(layout.EXIT_AT)
                file.write(layout.EXIT.pack(status, layout.BY_PARENT))

    def replaced(self, by_another: bool) -> None:
        """Around `os.exec*`: what the file says is over with the program, and goes on where the call fails."""
        if self.view is not None:
            self._tell_end(0, layout.LEFT if by_another else layout.UNKNOWN)

    # Its file.

    def _first(self, span: Span, method: str, path: str) -> int:
        """Begins the first request: makes the file, and a quicker way for those that follow."""
        if not self._opening.acquire(False):
            return -1  # another thread is at it
        try:
            if flight.begin == self._first:
                self._open()
            return -1 if flight.begin is None or flight.begin == self._first else flight.begin(span, method, path)
        finally:
            self._opening.release()

    def _open(self) -> None:
        try:
            self.place = self.place or files.folder(self.settings)
            if not self.place:
                flight.begin = None
                return
            path = os.path.join(self.place, files.name())
            view = files.made(path)
        except (OSError, ValueError, ImportError):  # a read-only disk, a limit of files: no recorder
            flight.begin = None
            return
        self.view, self.path = view, path
        self._oom = death.kills_file()
        about = self._about()
        self._service = about["service"]
        head = layout.text({**about, "oom": self._oom})
        view[layout.TEXT_AT : layout.TEXT_AT + len(head)] = head
        self._tell_vitals()
        view[: len(layout.MAGIC)] = layout.MAGIC
        flight.begin, flight.end = flight.writers(self, view)

    def _about(self) -> dict[str, object]:
        found = resource.attributes(self.settings)
        named = {"service": "service.name", "instance": "service.instance.id", "pid": "process.pid"}
        return {
            **{name: found.get(key, "") for name, key in named.items()},
            "command": os.path.basename(str(found.get("process.command", ""))),
            "started": f"{time_ns() / 1e9:.3f}",
            "endpoint": _address(self.settings.endpoint),
        }

    def _tell_end(self, status: int, known: int) -> None:
        if self.view is not None:
            layout.EXIT.pack_into(self.view, layout.EXIT_AT, status, known)

    def _tell_vitals(self) -> None:
        if self.view is None:
            return
        if not self._looks % COUNT_KILLS:
            self._kills = death.kills(self._oom)
        self._looks += 1
        memory = machine.resident()
        layout.VITAL.pack_into(
            self.view, layout.VITAL_AT, clock.offset, now(), memory, self._kills, self.missed, 0, layout.UNKNOWN
        )

    def rename(self, slot: int, path: str) -> None:
        """Writes another path into a slot."""
        if self.view is not None:
            at = layout.offset(slot) + PATH_AT
            self.view[at : at + PATH_LENGTH] = layout.cut(path, PATH_LENGTH).ljust(PATH_LENGTH, b"\0")

    # Its looks.

    def _look(self) -> None:
        with self._opening:
            if flight.begin == self._first:
                self._open()
        if self.view is None:
            watch.remove(self.look)  # there is no place for a file; nothing to look after
            return
        self._tell_vitals()
        busy = len(self.free) < layout.SLOTS
        self.look.interval = LOOK if busy else IDLE
        if busy:
            self._look_at_requests()
        if monotonic() >= self._searched + SEARCH:
            self._searched = monotonic()
            self._search()

    def _look_at_requests(self) -> None:
        moment = now()
        for slot in range(layout.SLOTS):
            references = sys.getrefcount(self.spans[slot])
            span = self.spans[slot]
            if span is None:
                continue
            # Nobody but the list, and itself as its own entry, has one that was forgotten: it never ends.
            if references <= ALONE + (span.entry is span) or (span.ended and moment - span.ended > STALE):
                flight.end(slot, span, 0)
            elif moment - span.started >= LONG:
                self._note(slot, span)

    def _note(self, slot: int, span: Span) -> None:
        if self.view is None:
            return
        within = flight.running[slot]
        if within is not None and within.ended:
            flight.running[slot] = within = None
        if within is not None and within.entry is not span:  # of what had this slot before
            within = None
        route = _route(span)
        since = getattr(within, "started", 0)  # one that just begins has none yet
        told = b"%d %s" % (since, route.encode("utf-8", "replace"))
        if self._noted.get(slot) == span.span_id + told:
            return
        name = _thread_name(self._thread_of(slot))
        text = within.summary() if within is not None else ""
        layout.NOTE.pack_into(
            self.view, layout.offset(slot) + layout.NOTE_AT, span.span_id, layout.cut(route, 64), layout.cut(name, 32),
            since, layout.cut(text, 240),
        )  # fmt: skip
        self._noted[slot] = span.span_id + told

    def _thread_of(self, slot: int) -> int:
        return int(layout.BEGIN.unpack_from(self.view, layout.offset(slot))[1]) if self.view is not None else 0

    def _search(self) -> None:
        """Tells of the dead of this service, and clears away what nobody will."""
        if not self._searches % SEARCHES:
            self._passed_over = {self.path}
        self._searches += 1
        for path in files.dead(self.place, self._passed_over):
            found = death.read(path)
            is_own = found is not None and found.about.get("service") == self._service
            if found is None or (not is_own and files.is_forgotten(path)):
                files.remove(path)
            elif not is_own:
                self._passed_over.add(path)
            else:
                mine = files.claim(path)
                if mine:
                    tell(found)
                    self.say(str(found))
                    files.remove(mine)


def tell(found: death.Death) -> None:
    """Sends the event of a process that died."""
    from perfagent.runtime import log
    from perfagent.runtime.context import RemoteContext
    from perfagent.runtime.span import Scope

    log.connect()
    oldest = found.under_way[0] if found.under_way else None
    span = None if oldest is None else RemoteContext(oldest.trace_id, oldest.span_id, 1)
    record = log.LogRecord(
        Scope("perfagent.flight"), found.when, time_ns(), 17, "ERROR", str(found), found.attributes(), span
    )
    record.event_name = death.EVENT
    log.emit(record)


def _route(span: Span) -> str:
    """The route of a request, or what a message is, without the word that the slot begins with; "" while unknown."""
    route = str(getattr(span, "route", ""))
    word = str(getattr(span, "method", "") or getattr(span, "operation", ""))
    return route or ("" if span.name == word else span.name.removeprefix(f"{word} "))


def _thread_name(ident: int) -> str:
    thread = machine.threads().get(ident)
    return str(getattr(thread, "_name", "")) or str(ident)


def _address(endpoint: str) -> str:
    """Scheme and authority of an endpoint, without what a secret may be in."""
    scheme, _, rest = endpoint.partition("://")
    return f"{scheme}://{rest.partition('/')[0].rpartition('@')[2]}" if rest else ""

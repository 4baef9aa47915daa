"""What a flight file tells of a process that died: as a sentence, and as the attributes of an event."""

from __future__ import annotations

import os

from perfagent.flight import layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

EVENT = "perfagent.process.died"
MOST = 20  # requests that are told of, each way

_SIGNALS = {
    1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL",
    11: "SIGSEGV", 14: "SIGALRM", 15: "SIGTERM",
}  # fmt: skip


class Flight:
    """One request, or message, that was under way or had been answered.

    Args:
        what: such as "GET /report" or "process shop.tasks.bill".
        seconds: how long it took, or had taken by the last look; 0 where none has seen it.
        thread: that answered it: its name where it is known, else its number.
        running: the query or call within it, without values; "" where there was none.
        running_seconds: how long that had run.
        status: of the answer; 0 where there was none.
        trace_id, span_id: of its span.
        started: Unix time, ns.
    """

    __slots__ = ("running", "running_seconds", "seconds", "span_id", "started", "status", "thread", "trace_id", "what")

    def __init__(self, what: str, seconds: float, thread: str, started: int, trace_id: bytes, span_id: bytes) -> None:
        self.what = what
        self.seconds = seconds
        self.thread = thread
        self.started = started
        self.trace_id = trace_id
        self.span_id = span_id
        self.running = ""
        self.running_seconds = 0.0
        self.status = 0

    def __str__(self) -> str:
        if self.status:
            return f"{self.what} {self.status} in {seconds(self.seconds)}"
        running = f", in {self.running} for {seconds(self.running_seconds)}" if self.running else ""
        return f"{self.what}, {self.age()}{running}, thread {self.thread}"

    def age(self) -> str:
        """How old it was, as far as that is known."""
        return f"{seconds(self.seconds)} old" if self.seconds else "begun after the last look"


class Death:
    """What became of a process.

    Args:
        about: the lines of the head: service, instance, pid, command, endpoint.
        when: its last sign of life, Unix time in ns.
        memory: resident bytes then.
        reason: how it ended, as far as that can be known.
        under_way: the oldest first.
        done: the last first.
    """

    __slots__ = ("about", "done", "exit_code", "memory", "out_of_memory", "reason", "under_way", "when")

    def __init__(self, about: dict[str, str], when: int, memory: int, reason: str) -> None:
        self.about = about
        self.when = when
        self.memory = memory
        self.reason = reason
        self.out_of_memory = False
        self.exit_code: int | None = None
        self.under_way: Sequence[Flight] = ()
        self.done: Sequence[Flight] = ()

    def __str__(self) -> str:
        doing = "while no request was under way"
        if self.under_way:
            oldest = self.under_way[0]
            more = f" and {len(self.under_way) - 1} more" if len(self.under_way) > 1 else ""
            running = f", in {oldest.running}" if oldest.running else ""
            doing = f"while it answered {oldest.what} ({oldest.age()}{running}){more}"
        memory = f"; memory {size(self.memory)}" if self.memory else ""
        return (
            f"process {self.about.get('pid', '?')} of {self.about.get('service', '?')} {self.reason} {doing}{memory}"
            f"{'. Out of memory: the kernel killed a process for it' if self.out_of_memory else ''}"
        )

    def attributes(self) -> dict[str, object]:
        """The attributes of the event."""
        found: dict[str, object] = {
            "service.name": self.about.get("service", ""),
            "service.instance.id": self.about.get("instance", ""),
            "process.pid": int(self.about.get("pid", "0")),
            "process.command": self.about.get("command", ""),
            "perfagent.process.end": self.reason,
            "perfagent.process.out_of_memory": self.out_of_memory,
            "perfagent.process.memory": self.memory,
            "perfagent.process.started": float(self.about.get("started", "0")),
            "perfagent.process.requests": [str(one) for one in self.under_way[:MOST]],
            "perfagent.process.answered": [str(one) for one in self.done[:MOST]],
        }
        if self.exit_code is not None:
            found["process.exit.code"] = self.exit_code
        return found


def read(path: str) -> Death | None:
    """What a file tells; None where it is none, or where the process only became another program."""
    try:
        with open(path, "rb") as file:
            raw = file.read(layout.SIZE)
    except OSError:
        return None
    if len(raw) < layout.SIZE or not raw.startswith(layout.MAGIC):
        return None
    clock, looked, memory, killed, _missed, status, known = layout.VITAL.unpack_from(raw, layout.VITAL_AT)
    if known == layout.LEFT:
        return None
    lines = layout.plain(raw[layout.TEXT_AT : layout.HEAD]).splitlines()
    about = {key: value for key, _, value in (line.partition("=") for line in lines)}
    found = Death(about, looked + clock, memory, _reason(status, known))
    sent = status & 0x7F if known == layout.BY_PARENT else 0
    if known in (layout.BY_ITSELF, layout.BY_PARENT) and not sent:
        found.exit_code = status if known == layout.BY_ITSELF else status >> 8
    if killed >= 0 and sent in (0, 9) and found.exit_code is None:
        found.out_of_memory = kills(about.get("oom", "")) > killed
    flights = [_flight(raw, layout.offset(slot), clock, looked) for slot in range(layout.SLOTS)]
    under_way = [one for state, one in flights if state == layout.UNDER_WAY]
    found.under_way = sorted(under_way, key=lambda one: one.started)
    done = [one for state, one in flights if state == layout.DONE]
    found.done = sorted(done, key=lambda one: one.started + one.seconds * 1e9, reverse=True)
    return found


def _reason(status: int, known: int) -> str:
    if known == layout.BY_ITSELF:
        return f"ended itself by os._exit({status})"
    if known == layout.BY_PARENT:
        sent = status & 0x7F
        return f"was ended by {_SIGNALS.get(sent, f'signal {sent}')}" if sent else f"ended with status {status >> 8}"
    return "was killed or crashed"


def _flight(raw: bytes, at: int, clock: int, looked: int) -> tuple[int, Flight]:
    started, thread, trace_id, span_id, method, path, ended, status, state = layout.BEGIN.unpack_from(raw, at)
    noted, route, name, since, running = layout.NOTE.unpack_from(raw, at + layout.NOTE_AT)
    is_noted = noted == span_id
    what = layout.plain(path)
    if is_noted and route[0]:
        what = layout.plain(route)
    shown = layout.plain(name) if is_noted and name[0] else str(thread)
    until = ended if state == layout.DONE else max(looked, started)
    one = Flight(
        f"{layout.plain(method)} {what}".strip(), (until - started) / 1e9, shown, started + clock, trace_id, span_id
    )
    one.status = status
    if is_noted and since and state == layout.UNDER_WAY:
        one.running = layout.plain(running)
        one.running_seconds = max(looked - since, 0) / 1e9
    return state, one


def kills_file() -> str:
    """Where the kernel counts processes that it killed for memory: those of our control group, else of the machine."""
    try:
        with open("/proc/self/cgroup", encoding="ascii", errors="replace") as file:
            groups = dict(line.rstrip("\n").split(":", 2)[1:] for line in file)
    except (OSError, ValueError):
        return ""
    for path in (
        f"/sys/fs/cgroup{groups.get('', '').rstrip('/')}/memory.events",
        f"/sys/fs/cgroup/memory{groups.get('memory', '').rstrip('/')}/memory.oom_control",
    ):
        if os.path.exists(path):
            return path
    return "/proc/vmstat"


def kills(path: str) -> int:
    """How many that were so far; -1 where it cannot be told."""
    try:
        with open(path, "rb") as file:
            for line in file:
                if line.startswith(b"oom_kill "):
                    return int(line.split()[1])
    except (OSError, ValueError):
        pass
    return -1


def seconds(value: float) -> str:
    """A duration for people."""
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s" if value < 10 else f"{value:.0f} s"


def size(value: float) -> str:
    """An amount of memory for people."""
    return f"{value / 1e9:.1f} GB" if value >= 1e9 else f"{value / 1e6:.0f} MB"

"""Words for the habits that agents notice: calls without a time-out, endless retries, what is not closed, and so on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.hub.analyse import words
from perfagent.hub.analyse.finding import Facts, Finding, Notice, sure

if TYPE_CHECKING:
    from collections.abc import Callable

TIMEOUTS = {
    "requests": "timeout=(3, 10): seconds to connect and to read; a Session has none, so give it with each call",
    "urllib3": "timeout=urllib3.Timeout(connect=3, read=10), of the PoolManager or of the call",
    "httpx": "leave its own five seconds in place, or timeout=httpx.Timeout(10, connect=3)",
    "aiohttp": "timeout=aiohttp.ClientTimeout(total=10), of the ClientSession or of the call",
    "urllib.request": "urlopen(…, timeout=10)",
    "http.client": "HTTPConnection(…, timeout=10)",
    "redis": "Redis(…, socket_timeout=2, socket_connect_timeout=1); Celery's broker takes them as "
    "broker_transport_options={'socket_timeout': 2}",
    "psycopg2": "connect(…, connect_timeout=3), and statement_timeout in the options",
    "pymysql": "connect(…, connect_timeout=3, read_timeout=30, write_timeout=30)",
    "grpc": "stub.Method(request, timeout=5)",
    "celery": "result.get(timeout=10), and time_limit of the task",
    "smtplib": "SMTP(…, timeout=10)",
    "socket": "create_connection(address, timeout=10)",
}
UNCLOSED = {
    "response": ("read it to its end or close it: `with session.get(…, stream=True) as response`",
                 "its connection never goes back to the pool: it is opened anew for the next call"),
    "file": ("open it in a `with` block", "what is written may be lost, and descriptors run out on other interpreters"),
    "socket": ("close it: `with contextlib.closing(…)`, or the library's own `with`", "descriptors run out"),
}  # fmt: skip
ANY_UNCLOSED = ("close it in a `with` or `async with` block", "its connections stay open until nobody refers to them")


def missing_timeout(one: Notice, facts: Facts) -> Finding:
    """A call that may wait for ever."""
    what = _told(one, "what")
    after = _number(one, "after")
    instead = TIMEOUTS.get(what, "give it a time-out")
    waits = f"gives up only after {words.milliseconds(after * 1000)}" if after else "waits for ever"
    return _finding(
        one, "low" if after else "medium", f"{what} {_says(one, what)}, at {_short(one)}",
        "a server that takes the connection and does not answer keeps the request, its thread and its connections: "
        f"it {waits}", instead,
        (f"at {one.place}: {instead}", "take about its usual 99th percentile, and answer something when it is reached",
         "the same everywhere: one place that makes clients for the whole program"),
    )  # fmt: skip


def endless_retries(one: Notice, facts: Facts) -> Finding:
    """What is tried again without an end, or without growing pauses."""
    attempts = words.count(_number(one, "attempts"))
    pauses = str(one.attributes.get("perfagent.endless_retries.pauses")).lower() == "true"
    stop = {
        "tenacity": "stop=stop_after_attempt(3) | stop_after_delay(10), wait=wait_exponential_jitter()",
        "urllib3": "Retry(total=3, backoff_factor=0.5)", "celery": "max_retries=5, retry_backoff=True",
    }.get(_told(one, "what"), "try three times at most, with pauses that double, and some chance in them")  # fmt: skip
    return _finding(
        one, "medium" if pauses else "high", f"{_short(one)} tries again and again ({attempts} times in a row)",
        "it adds load to what is down already, and whoever waits for it waits for as long as it is down", stop,
        (f"at {one.place}: {stop}", "give up in the end, and answer without it, or say that it failed",
         "put a circuit breaker around it, so that nothing is tried while it is down"),
        "anomaly",
    )  # fmt: skip


def unclosed(one: Notice, facts: Facts) -> Finding:
    """What is collected without having been closed."""
    what = _told(one, "what")
    instead, impact = UNCLOSED.get(what, ANY_UNCLOSED)
    return _finding(
        one, "medium" if what == "response" else "low", f"a {what} is not closed, at {_short(one)}", impact, instead,
        (f"at {one.place}: {instead}", "PYTHONWARNINGS=error::ResourceWarning in the tests keeps new ones out"),
    )  # fmt: skip


def session_per_call(one: Notice, facts: Facts) -> Finding:
    """A client that is made for each call."""
    what = _told(one, "what")
    rate = _number(one, "rate")
    instead = f"make one {what} for the whole program, and close it at the end"
    return _finding(
        one, "medium" if rate >= 1 else "low", f"{what} is made for each call, at {_short(one)}",
        f"{rate:.1f} times a second a connection is opened anew, with its handshakes, and thrown away", instead,
        (f"at {one.place}: {instead}", "requests.get and httpx.get make a session each time: use a session's own get",
         "compare the time of these calls after the change: what a handshake took is gone"),
    )  # fmt: skip


def leaked_threads(one: Notice, facts: Facts) -> Finding:
    """Threads that become more and more."""
    alive, growth = _number(one, "alive"), _number(one, "per_minute")
    return _finding(
        one, "high", f"threads started at {_short(one)} do not end",
        f"{words.count(growth)} more a minute: each takes memory, until no more can be started", "let them end: what "
        "they wait for must come, or have a time-out",
        (f"at {one.place}: see what a thread of {_told(one, 'target')} waits for (`perfagent profile --pid PID`)",
         "use one ThreadPoolExecutor with max_workers for the whole program, and shut it down at the end",
         "give queues and events that threads wait for a time-out, or tell the threads to end"),
        "anomaly", f"{words.count(alive)} alive; {_seen(one)}",
    )  # fmt: skip


def lost_task(one: Notice, facts: Facts) -> Finding:
    """An asyncio task that nobody waits for."""
    pending = _told(one, "why") == "pending"
    instead = "keep a reference to the task until it is done (a set, a TaskGroup), and await it"
    return _finding(
        one, "medium", f"a task of {_told(one, 'what')} is lost, at {_short(one)}",
        "it was collected before it was done: its work is half done" if pending
        else "it failed, and nobody was told", instead,
        (f"at {one.place}: {instead}", "PYTHONASYNCIODEBUG=1 tells where it was started"), "anomaly",
    )  # fmt: skip


def joined(found: list[Finding]) -> list[Finding]:
    """The findings, with what an agent saw of a loop that tries again joined to what the traces tell of it.

    Only where a service has one such loop: else nobody knows which belongs to which.
    """
    for service in {one.service for one in found if one.kind == "retries"}:
        loops = [
            one for one in found
            if one.service == service and one.kind == "endless_retries" and one.subject.endswith(" loop")
        ]  # fmt: skip
        if len(loops) == 1:
            found = [one for one in found if one is not loops[0]]
            for one in found:
                if one.service == service and one.kind == "retries":
                    one.place, one.evidence = loops[0].place, f"{one.evidence}; {loops[0].evidence}"
    return found


WORDED: dict[str, Callable[[Notice, Facts], Finding]] = {
    "missing_timeout": missing_timeout, "endless_retries": endless_retries, "unclosed": unclosed,
    "session_per_call": session_per_call, "leaked_threads": leaked_threads, "lost_task": lost_task,
}  # fmt: skip
EFFORTS = {kind: "medium" if kind == "leaked_threads" else "low" for kind in WORDED}
CATEGORIES = {"missing_timeout": "network", "endless_retries": "network", "session_per_call": "network"}


def _finding(
    one: Notice, severity: str, title: str, impact: str, instead: str, steps: tuple[str, ...],
    type_: str = "optimisation", evidence: str = "",
) -> Finding:  # fmt: skip
    return Finding(
        one.kind, type_, severity, title, evidence or _seen(one), impact, instead,
        sure(one.times + 10), one.service, f"#/traces/{one.trace_id.hex()}" if one.trace_id else "#/processes",
        {"times": float(one.times)}, subject=one.subject, place=one.place, steps=steps,
    )  # fmt: skip


def _seen(one: Notice) -> str:
    said = one.text.partition(", at /")[0]
    return f"{said}; seen {words.times(one.times)}" if one.times > 1 else said


def _says(one: Notice, what: str) -> str:
    return one.text.removeprefix(f"{what} ").partition(", at ")[0]


def _short(one: Notice) -> str:
    return words.place(one.place.split()[0]) if one.place else "a library"


def _told(one: Notice, name: str) -> str:
    return str(one.attributes.get(f"perfagent.{one.kind}.{name}") or "")


def _number(one: Notice, name: str) -> float:
    try:
        return float(one.attributes.get(f"perfagent.{one.kind}.{name}"))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return 0.0

"""What blocks an event loop, by name: a sleep, a synchronous driver, a lock, a file, a computation."""

from __future__ import annotations

import sys
from itertools import dropwhile
from types import BuiltinFunctionType, FunctionType, MethodType

from perfagent.runtime import inert
from perfagent.runtime.encoded import MOST
from perfagent.runtime.notices import notice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, FrameType
    from typing import Any

    from perfagent.vitals.blocked import Place

SLEEP, DRIVER, HTTP, SOCKET, DNS, PROCESS, FILE, LOCK, CPU, IMPORT, COLLECTING, MANY, CALL, STARVED = (
    "sleep", "driver", "http", "socket", "dns", "process", "file", "lock", "cpu", "import", "gc", "callbacks", "call",
    "starved",
)  # fmt: skip
AWAITS = "await "  # before the name of a coroutine's frame
BUSY = 0.5  # share of the time in which a thread computed, from which on it did not wait

_DRIVERS = dict.fromkeys(
    ("sqlite3", "psycopg", "psycopg2", "pymysql", "MySQLdb", "redis", "pymongo", "pymemcache", "duckdb",
     "clickhouse_connect", "clickhouse_driver", "elastic_transport", "elasticsearch", "cassandra", "oracledb", "pyodbc",
     "mysql", "peewee", "kafka", "confluent_kafka", "pika", "boto3", "botocore", "grpc", "smtplib", "ftplib",
     "paramiko", "ldap3", "memcache"), DRIVER,
)  # fmt: skip
_HTTP = dict.fromkeys(("requests", "urllib3", "httpx", "httpcore", "http", "urllib", "pycurl"), HTTP)
_OTHERS = {
    "subprocess": PROCESS, "socket": SOCKET, "ssl": SOCKET, "threading": LOCK, "queue": LOCK, "concurrent": LOCK,
    "multiprocessing": LOCK, "pathlib": FILE, "shutil": FILE, "tempfile": FILE, "glob": FILE, "zipfile": FILE,
}  # fmt: skip
_LIBRARIES = {**_OTHERS, **_HTTP, **_DRIVERS}
_CALLS = {
    "time.sleep": SLEEP, "os.system": PROCESS, "os.waitpid": PROCESS, "os.popen": PROCESS, "posix.system": PROCESS,
    "posix.waitpid": PROCESS, "open": FILE, "io.open": FILE, "_io.open": FILE, "select.select": SOCKET,
}  # fmt: skip
_METHODS = {
    "acquire": LOCK, "join": LOCK, "wait": LOCK, "result": LOCK, "read": FILE, "readline": FILE, "readlines": FILE,
    "write": FILE, "writelines": FILE, "flush": FILE, "fsync": FILE, "recv": SOCKET, "recv_into": SOCKET,
    "send": SOCKET, "sendall": SOCKET, "connect": SOCKET, "accept": SOCKET, "getaddrinfo": DNS, "gethostbyname": DNS,
    "gethostbyaddr": DNS, "getnameinfo": DNS, "execute": DRIVER, "executemany": DRIVER, "executescript": DRIVER,
    "fetchall": DRIVER, "fetchone": DRIVER, "commit": DRIVER,
}  # fmt: skip

_named: dict[tuple[CodeType, int], tuple[str, ...]] = {}
AGAIN = (2, 5, 10, 50, 100, 500)  # times, at which a place is told again at once
_worst: dict[str, tuple[float, int]] = {}
MUCH = 1.5  # times as long as what was told: then it is told again


def kind_of(names: list[str], share: float, many: bool, still: bool) -> str:
    """The kind of a block.

    Args:
        names: the call that the thread is in, "" for none, then `module:function` of each frame below the program's
            own one, the innermost first, and `AWAITS` before that of a coroutine.
        share: of the time that the thread computed, 0..1.
        many: whether it was one short callback after the other.
        still: whether each look saw the same instruction.
    """
    if many:
        return MANY
    if any(name.startswith(("importlib._bootstrap", "<frozen importlib")) for name in names[1:]):
        return IMPORT
    if share >= BUSY:
        return CPU
    call, inner = names[0], names[1:]
    if call in _CALLS:
        return _CALLS[call]
    method = call.rpartition(".")[2]
    if _METHODS.get(method) == DNS:
        return DNS
    library = library_of(inner)
    if library:
        return _LIBRARIES[library]
    if method in _METHODS:
        return _METHODS[method]
    if call == "with":
        return LOCK
    return CALL if call and still else STARVED


def library_of(inner: list[str]) -> str:
    """The library that the program's own line has called, of those that are known to wait; "" for none.

    One that is within a coroutine of its own, such as httpx' AsyncClient, leaves the loop to others while it waits.
    """
    asynchronous = {_package(name) for name in inner if name.startswith(AWAITS)}
    for name in reversed(inner):
        package = _package(name)
        if package in _LIBRARIES and package not in asynchronous:
            return package
    return ""


def _package(name: str) -> str:
    module = name.removeprefix(AWAITS).partition(":")[0].removeprefix("perfagent.instruments.")
    return module.partition(".")[0]


def tell(place: Place, kind: str, lasted: float, working: float, threshold: float) -> None:
    """Makes a notice of a block.

    Args:
        place: the line.
        kind: what blocks.
        lasted: seconds for which the loop was blocked.
        working: seconds of these in which its thread computed.
        threshold: what it may take.
    """
    where = place.attributes()
    subject = f"{where['code.file.path']}:{where['code.line.number']}"
    if len(_worst) >= MOST:
        _worst.clear()
    before, times = _worst.get(subject, (lasted, 0))
    worst = max(lasted, before)
    _worst[subject] = worst, times + 1
    library = library_of(place.names[1:])
    call = library if kind in (DRIVER, HTTP) and library else place.names[0]
    attributes: dict[str, object] = {
        **where,
        "code.stacktrace": place.text(),
        "perfagent.blocked_loop.kind": kind,
        "perfagent.blocked_loop.seconds": round(lasted, 4),
        "perfagent.blocked_loop.worst_seconds": round(worst, 4),
        "perfagent.blocked_loop.cpu_seconds": round(working, 4),
        "perfagent.blocked_loop.requests": place.under_way,
        "perfagent.blocked_loop.threshold_seconds": threshold,
    }
    if call:
        attributes["perfagent.blocked_loop.call"] = call
    text = f"the event loop was blocked for {lasted * 1000:.0f} ms at {subject} ({where['code.function.name']})"
    notice("blocked_loop", subject, text, attributes, place.span, again=lasted > MUCH * before or times + 1 in AGAIN)


def called(frame: FrameType) -> str:
    """The function that a frame is calling in C, as the program writes it, with its module where that is known.

    "" where it calls none; "with" where it enters a block. Of a function in a local variable only the name is told:
    nobody's variables are read.
    """
    names = _names(frame.f_code, frame.f_lasti)
    if not names:
        return ""
    first: Any = dict.get(frame.f_globals, names[0])
    if type(first) is type(sys):
        return ".".join((str(vars(first).get("__name__")), *names[1:]))
    if len(names) == 1:
        module, name = _described(first)
        if name:
            return f"{module}.{name}" if module and module != "builtins" else name
    return ".".join(names)


def _described(called: Any) -> tuple[str, str]:
    """Module and name of a function or class; "" of anything else, for a proxy might make what it stands for."""
    kind = type(called)
    if kind is MethodType:
        called, kind = called.__func__, type(called.__func__)
    try:
        if kind is FunctionType or kind is BuiltinFunctionType:
            module, name = called.__module__, called.__qualname__
        elif issubclass(kind, type):
            module, name = inert.module_of(called), inert.name_of(called)
        else:
            return "", ""
    except AttributeError:  # its class has lost it
        return "", ""
    return module if type(module) is str else "", str(name)


def _names(code: CodeType, offset: int) -> tuple[str, ...]:
    key = (code, offset)
    found = _named.get(key)
    if found is None:
        if len(_named) >= MOST:
            _named.clear()
        found = _named[key] = _read(code, offset)
    return found


def _read(code: CodeType, offset: int) -> tuple[str, ...]:
    """The dotted name that the call at an offset begins with, from the instructions before it."""
    from dis import get_instructions  # asyncio has imported it, by way of inspect

    passed = [one for one in get_instructions(code) if one.offset <= offset]
    if not passed:
        return ()
    last = passed.pop()
    if last.opname in ("BEFORE_WITH", "SETUP_WITH"):
        return ("with",)
    if "CALL" not in last.opname:
        return ()
    begin = _begin(last)
    passed.reverse()
    known = begin is not None  # then the names stand where the call begins
    passed = [one for one in passed if _begin(one) == begin] if known else passed[_arguments(last, passed) :]
    names: list[str] = []
    for one in dropwhile(lambda one: not _is_name(one), passed):
        if not _is_name(one):
            break
        names.append(one.argval)
        if not one.opname.startswith(("LOAD_ATTR", "LOAD_METHOD")):
            break
    return tuple(reversed(names))


def _arguments(call: Any, passed: list[Any]) -> int:
    """How many instructions before a call have made its arguments; for Python 3.10, which has no columns."""
    from dis import stack_effect

    left = call.arg + (call.opname == "CALL_FUNCTION_KW") if call.opname != "CALL_FUNCTION_EX" else 1
    for number, one in enumerate(passed):
        if left <= 0:
            return number
        left -= stack_effect(one.opcode, one.arg, jump=False)
    return len(passed)


def _begin(one: Any) -> tuple[int, int] | None:
    """Line and column at which the source of an instruction begins."""
    positions = getattr(one, "positions", None)
    if positions is None or positions.col_offset is None:
        return None
    return positions.lineno, positions.col_offset


def _is_name(one: Any) -> bool:
    return one.opname.startswith("LOAD_") and "CONST" not in one.opname and isinstance(one.argval, str)

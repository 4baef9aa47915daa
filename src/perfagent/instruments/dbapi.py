"""What the database drivers share (PEP 249): their calls timed, and the program's own classes measured as well."""

from __future__ import annotations

from perfagent import settings
from perfagent.instruments.base import passed_over
from perfagent.runtime import callers, guard
from perfagent.runtime.carriers import carries
from perfagent.runtime.context import current, restore
from perfagent.runtime.db import MANY_ROWS, QuerySpan, database
from perfagent.runtime.encoded import MOST
from perfagent.runtime.span import CLIENT
from perfagent.runtime.transactions import asked, register

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from perfagent.instruments.base import Instrument
    from perfagent.instruments.sqlcommenter import Commenter
    from perfagent.runtime.db import Database

    Call = Callable[..., Any]
    AsyncCall = Callable[..., Awaitable[Any]]
    Statement = Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]

NOWHERE = -1
SECOND = 1
COROUTINE = 0x80  # inspect.CO_COROUTINE


class Driver:
    """How one driver is measured: makes the wrappers of what executes statements.

    Each of `call`, `call_async` takes what tells the statement of a call from its owner (a cursor, a connection), its
    arguments and its keyword arguments; None says that the call is not to be measured.

    Args:
        instrument: the driver's.
        target: what an owner talks to.
        code: `db.response.status_code` of an exception, or "".
        link: the attribute of an owner that is its connection; "" where it is the connection itself.
        is_open: whether a connection is in a transaction, told without asking the server; None where nobody knows.
        counts: whether a cursor has all rows, or a coroutine returns them, when a statement has been executed.
    """

    def __init__(
        self,
        instrument: Instrument,
        target: Callable[[Any], Database],
        code: Callable[[BaseException], str],
        link: str = "",
        is_open: Callable[[Any], bool] | None = None,
        counts: bool = False,
    ) -> None:
        self.name = instrument.name
        self.scope = instrument.scope
        self.target = target
        self.code = code
        self.commenter: Commenter | None = None
        if settings.current().sqlcommenter != "off":
            from perfagent.instruments import sqlcommenter

            self.commenter = sqlcommenter.of(self.name)
        self.link = link
        self.is_open = is_open
        self.counts = counts

    def open(self, owner: Any, query: Any, batch: int = 0) -> QuerySpan | None:
        """The span of a call that is about to be made; None where somebody above speaks for the database."""
        parent = current.get()
        if query is None or (parent is not None and parent.kind == CLIENT and not parent.ended):
            return None
        try:
            span = QuerySpan(self.scope, parent, self.target(owner), query if type(query) is str else deferred(query))
            if self.is_open is not None:  # 0.06 us
                connection = getattr(owner, self.link) if self.link else owner
                try:
                    asked[id(connection)].span = span
                except KeyError:
                    register(connection, span, self.is_open)
        except Exception:
            guard.failed(self.name)
            return None
        span.batch = batch
        return span

    def failed(self, span: QuerySpan, error: BaseException) -> None:
        """Ends the span of a call that raised."""
        try:
            span.code = self.code(error)
            span.fail(error)
        except Exception:
            guard.failed(self.name)
        span.finish()

    def call(self, statement: Statement, many: int = NOWHERE, inner: bool = False) -> Callable[[Call], Call]:
        """Makes the wrapper of a method.

        Args:
            statement: tells the statement.
            many: the place among the arguments of the sequence of parameter sets, where there is one.
            inner: whether the method calls others that are measured, so that the span must be current meanwhile.
        """

        def make(original: Call) -> Call:
            nonlocal inner
            commenter, keyword = self.commenter, getattr(statement, "keyword", "")
            counts = self.counts and many < 0
            if commenter is not None and keyword and many < 0:
                original, inner = commenter.sync(original, keyword), True  # the span is what the comment tells

            @carries
            def wrapper(owner: Any, *args: Any, **options: Any) -> Any:
                try:
                    query = statement(owner, args, options)
                except Exception:
                    guard.failed(self.name)
                    query = None
                span = self.open(owner, query, size(args, many))
                if span is None:
                    return original(owner, *args, **options)
                token = current.set(span) if inner else None
                try:
                    result = original(owner, *args, **options)
                except BaseException as error:
                    self.failed(span, error)
                    raise
                finally:
                    if token is not None:
                        current.reset(token)
                if counts:
                    _count(owner, span)
                span.finish(args, options)
                return result

            return wrapper

        return make

    def call_async(
        self, statement: Statement, many: int = NOWHERE, inner: bool = False
    ) -> Callable[[AsyncCall], AsyncCall]:
        """Makes the wrapper of a coroutine function, or of a function that returns a coroutine; arguments as above."""

        def make(original: AsyncCall) -> AsyncCall:
            nonlocal inner
            commenter, keyword = self.commenter, getattr(statement, "keyword", "")
            if commenter is not None and keyword and many < 0 and original.__code__.co_flags & COROUTINE:
                original, inner = commenter.awaited(original, keyword), True

            def checked(owner: Any, *args: Any, **options: Any) -> Awaitable[Any]:
                # What it raises before there is a coroutine, it raises before anybody awaits one.
                awaitable = original(owner, *args, **options)
                try:
                    query = statement(owner, args, options)
                except Exception:
                    guard.failed(self.name)
                    return awaitable
                return self._open_and_await(owner, query, args, many, awaitable, inner)

            async def wrapper(owner: Any, *args: Any, **options: Any) -> Any:
                try:
                    query = statement(owner, args, options)
                except Exception:
                    guard.failed(self.name)
                    query = None
                span = self.open(owner, query, size(args, many))
                if span is None:
                    return await original(owner, *args, **options)
                return await self._await(owner, span, original(owner, *args, **options), inner, args, options)

            return wrapper if original.__code__.co_flags & COROUTINE else checked

        return make

    @passed_over
    async def _open_and_await(
        self, owner: Any, query: Any, args: tuple[Any, ...], many: int, awaitable: Awaitable[Any], inner: bool
    ) -> Any:
        span = self.open(owner, query, size(args, many))
        return await (awaitable if span is None else self._await(owner, span, awaitable, inner, args))

    @carries
    @passed_over
    async def _await(
        self,
        owner: Any,
        span: QuerySpan,
        awaitable: Awaitable[Any],
        inner: bool,
        args: tuple[Any, ...] = (),
        options: dict[str, Any] | None = None,
    ) -> Any:
        token = current.set(span) if inner else None
        try:
            result = await awaitable
        except BaseException as error:
            self.failed(span, error)
            raise
        finally:
            if token is not None:
                restore(current, token)
        if self.counts:
            if type(result) is list:
                span.rows = len(result)
            else:
                _count(owner, span)
        span.finish(args, options)
        return result


def _count(cursor: Any, span: QuerySpan) -> None:
    """Has a span tell how many rows a cursor got, and the cursor how many of them are read; 0.1 us."""
    try:
        rows = getattr(cursor, "rowcount", -1)
        if type(rows) is int:
            span.rows = rows
            if rows >= MANY_ROWS:
                follow(cursor, span)
    except Exception:
        guard.failed("rows")


def follow(cursor: Any, span: QuerySpan) -> None:
    """As `cursors.follow`, which is loaded with the first statement that gets many rows."""
    from perfagent.instruments import cursors

    cursors.follow(cursor, span)


def argument(keyword: str) -> Statement:
    """Tells the statement where it is the first argument, by place or by name. Without one the call will raise."""

    def statement(owner: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        return args[0] if args else options.get(keyword)

    told: Any = statement
    told.keyword = keyword
    return statement


def size(args: tuple[Any, ...], place: int) -> int:
    """The number of parameter sets in the argument at that place, where counting runs none of the program's code."""
    return len(args[place]) if 0 <= place < len(args) and isinstance(args[place], (list, tuple)) else 0


def deferred(query: Any) -> Any:
    """A statement that is no plain text, as `QuerySpan` takes it: a text, or what gives one in the background."""
    if isinstance(query, str):
        return str.__str__(query)
    if isinstance(query, (bytes, bytearray)):
        query = query[: callers.LONGEST_HELD]
    return lambda: rendered(query)


def rendered(query: Any) -> str:
    """The text of bytes, and of what `psycopg2.sql`, `psycopg.sql` and template strings compose.

    Built without the program's connection and without the values in it: those become `?`.
    """
    if isinstance(query, (bytes, bytearray)):
        return query.decode("utf-8", "replace")
    content = getattr(query, "_obj", None) or getattr(query, "_wrapped", None)  # of psycopg, of psycopg2
    for kind in type(query).__mro__:
        if kind.__name__ == "Composed":
            return "".join(map(rendered, content or ()))
        if kind.__name__ == "SQL":
            return str(content or "")
        if kind.__name__ == "Identifier":
            return ".".join('"' + part.replace('"', '""') + '"' for part in content or ())
        if kind.__name__ == "Placeholder":
            return "%s"
        if kind.__name__ == "Template":
            return "?".join(query.strings)
    return "?"


def postgresql(namespace: str, host: str, port: int) -> Database:
    """A PostgreSQL database by what libpq calls its host: a name, an address, or the folder of a Unix socket."""
    if host.startswith(("/", "@")):
        return database("postgresql", namespace, f"{host}/.s.PGSQL.{port}")
    return database("postgresql", namespace, host, port)


class Subclasses(dict[object, object]):
    """The subclass of each of the program's own classes that comes first in the order of calls and is measured.

    `class Theirs(driver.Cursor)` becomes `class Theirs(Theirs, Ours)`: what Theirs overrides stays, and its
    `super().execute` is ours. Looking a class up costs 30 ns.

    Args:
        ours: our subclass of the driver's class.
    """

    def __init__(self, ours: type) -> None:
        super().__init__({ours: ours, ours.__mro__[1]: ours})
        self.ours = ours

    def __missing__(self, kind: object) -> object:
        found = self._make(kind)
        if len(self) < MOST:
            self[kind] = found
        return found

    def _make(self, kind: object) -> object:
        base = self.ours.__mro__[1]
        if not isinstance(kind, type) or not issubclass(kind, base) or issubclass(kind, self.ours):
            return kind  # a function that makes one: what it makes is its own business
        make: Any = type(kind)
        names = {name: getattr(kind, name) for name in ("__module__", "__qualname__", "__doc__")}
        try:
            return make(kind.__name__, (kind, self.ours), {**names, "__slots__": ()})
        except TypeError:  # it has slots of its own, or a metaclass that wants more: it stays as it is
            return kind

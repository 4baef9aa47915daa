"""Circuit breakers by name, with the settings of `config/circuit-breakers.yaml`."""

from __future__ import annotations

import os
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from perfagent.resilience.breakers import configuration
from perfagent.resilience.breakers.configuration import INSTALL, Configuration, Rules
from perfagent.settings.resilience import ResilienceSettings

try:
    from purgatory import SyncCircuitBreakerFactory

    from perfagent.resilience.breakers.breaker import Breaker, CircuitOpenError, guard
except ImportError as error:
    raise ImportError(INSTALL) from error

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Breaker", "CircuitOpenError", "circuit_breaker", "get_breaker", "load_breakers"]

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


@overload
def circuit_breaker(
    name: str,
    *,
    failure_threshold: int | None = None,
    recovery_time: float | None = None,
    exclude: tuple[type[Exception], ...] | None = None,
) -> Breaker: ...
@overload
def circuit_breaker(
    name: str,
    *,
    failure_threshold: int | None = None,
    recovery_time: float | None = None,
    exclude: tuple[type[Exception], ...] | None = None,
    fallback: Callable[..., Any],
) -> WithFallback: ...
def circuit_breaker(
    name: str,
    *,
    failure_threshold: int | None = None,
    recovery_time: float | None = None,
    exclude: tuple[type[Exception], ...] | None = None,
    fallback: Callable[..., Any] | None = None,
) -> Breaker | WithFallback:
    """The circuit breaker of that name, as a decorator and as a context manager, for functions and for coroutines.

    What the file says of this breaker goes before what is said here; the first call in the program makes it.

    Args:
        name: what it protects, such as "payments": the `name` of its metrics.
        failure_threshold: failures in a row that open it; the file's defaults, or 5, when left out.
        recovery_time: seconds that it stays open before one call is let through; the file's defaults, or 30.
        exclude: exceptions that are no failures, nor are their subclasses.
        fallback: called with the same arguments in place of a call that is not let through; for decorated functions.

    Raises:
        TypeError: the name is no text.
        ValueError: a setting, here or in the file, is not accepted; the text names it, the rule and an example.
    """
    told: dict[str, Any] = {}
    if failure_threshold is not None:
        told["failure_threshold"] = failure_threshold
    if recovery_time is not None:
        told["recovery_time"] = recovery_time
    configuration.check(str(name), **told)
    if exclude is not None:
        if isinstance(exclude, type) or not hasattr(exclude, "__iter__"):
            raise ValueError(
                f"circuit breaker {name!r}: exclude={exclude!r} is not accepted: several classes of exceptions; "
                "e.g. exclude=(ValueError,)"
            )
        wrong = [one for one in exclude if not (isinstance(one, type) and issubclass(one, Exception))]
        if wrong:
            raise ValueError(
                f"circuit breaker {name!r}: exclude has {wrong[0]!r}, which is no exception; e.g. exclude=(ValueError,)"
            )
        told["exclude"] = tuple(exclude)
    found = _book.breaker(name, told)
    return found if fallback is None else WithFallback(found, fallback)


def get_breaker(name: str) -> Breaker:
    """The circuit breaker of that name: the one there is, or a new one as the file says.

    Args:
        name: what it protects.

    Raises:
        TypeError: the name is no text.
        ValueError: the file is not accepted.
    """
    return _book.breaker(name, {})


def load_breakers(path: str | os.PathLike[str]) -> Configuration:
    """Takes the settings of breakers from a file; breakers that exist already begin anew when they are next asked for.

    Args:
        path: of the YAML file.

    Returns:
        What it says.

    Raises:
        ValueError: it is not accepted; the text names the entry, the rule and an example.
        OSError: it cannot be read.
    """
    found = configuration.read(path)
    _book.use(found)
    return found


class WithFallback:
    """A breaker as a decorator whose functions have a fallback.

    Args:
        breaker: lets calls through or not.
        fallback: answers those that it does not.
    """

    def __init__(self, breaker: Breaker, fallback: Callable[..., Any]) -> None:
        if not callable(fallback):
            raise TypeError(f"circuit breaker {breaker.name!r}: fallback={fallback!r} cannot be called")
        self.breaker = breaker
        self._fallback = fallback

    def __call__(self, function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        """Has every call of `function` go through the breaker, or to the fallback."""
        return guard(self.breaker, function, self._fallback)  # type: ignore[no-any-return]


class _Book:
    """The breakers of this process, and the file's settings."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._breakers: dict[str, Breaker] = {}
        self._configuration: Configuration | None = None
        self._factory: Any = None
        self._shared: Any = None

    def renew(self) -> None:
        """In a forked child."""
        self._lock = threading.Lock()
        for breaker in self._breakers.values():
            breaker.renew()

    def use(self, found: Configuration) -> None:
        with self._lock:
            self._take(found)

    def _take(self, found: Configuration) -> Configuration:
        told = ResilienceSettings.current().breakers_storage
        address = told or found.storage
        shared = None
        if address:
            from perfagent.resilience.breakers.storage import Shared

            try:
                shared = Shared(address)
            except ValueError as error:
                name = "CIRCUIT_BREAKERS_STORAGE" if told else "storage of circuit breakers"
                raise ValueError(f"{name} is not accepted ({error}): e.g. redis://localhost:6379/0") from None
        self._configuration, self._shared, self._breakers = found, shared, {}
        self._factory = SyncCircuitBreakerFactory(uow=shared)
        self._factory.messagebus.perfagent = True  # tells the instrument of purgatory that these count by themselves
        return found

    def breaker(self, name: str, told: dict[str, Any]) -> Breaker:
        found = self._breakers.get(name) if isinstance(name, str) else None
        if found is not None:
            return found
        if not isinstance(name, str) or not name:
            raise TypeError(f'the name of a circuit breaker is a text, not {name!r}; e.g. @circuit_breaker("payments")')
        with self._lock:
            settings = self._configuration or self._take(_from_settings())
            if name in self._breakers:
                return self._breakers[name]
            rules = settings.breakers.get(name)
            if rules is None:
                from dataclasses import replace

                rules = replace(settings.defaults, **told)
            return self._breakers.setdefault(name, self._make(name, rules))

    def _make(self, name: str, rules: Rules) -> Breaker:
        inner = self._factory.get_breaker(name, rules.failure_threshold, rules.recovery_time, list(rules.exclude))
        made = Breaker(name, rules, inner, None if self._shared is None else self._shared.contexts)
        made.fallback = _Late(name, rules.fallback) if rules.fallback else None
        return made


class _Late:
    """The fallback that the file names: imported when it is first needed, for it may be in the module that asks."""

    def __init__(self, breaker: str, path: str) -> None:
        self._breaker = breaker
        self._path = path
        self._found: Callable[..., Any] | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._found is None:
            module, _, attribute = self._path.partition(":")
            try:
                found: Any = import_module(module)
                for part in attribute.split("."):
                    found = getattr(found, part)
            except (ImportError, AttributeError) as error:
                raise ValueError(
                    f"circuit breaker {self._breaker!r}: fallback={self._path!r} is not to be found ({error}); "
                    f"e.g. {configuration.EXAMPLES['fallback']}"
                ) from error
            self._found = found
        return self._found(*args, **kwargs)


def _from_settings() -> Configuration:
    settings = ResilienceSettings.current()
    path = settings.breakers_file
    _value, origin = settings.lookup(settings.option("breakers_file"))
    if origin == "default" and not os.path.exists(path):
        return Configuration(Rules(), {})
    try:
        return configuration.read(path)
    except OSError as error:
        raise ValueError(
            f"CIRCUIT_BREAKERS_FILE={path!r} cannot be read ({error.strerror}); e.g. config/circuit-breakers.yaml"
        ) from error


_book = _Book()
os.register_at_fork(after_in_child=_book.renew)

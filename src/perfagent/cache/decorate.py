"""`@cached` and `@cache_with_lock`: functions whose results are kept by their arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from perfagent.cache import accepted
from perfagent.cache.function import CachedFunction, Wishes, keeping

if TYPE_CHECKING:
    from perfagent.cache.cache import Cache

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
Seconds = float | timedelta
Tags = Iterable[str] | Callable[..., Iterable[str]]


@overload
def cached(function: Callable[Parameters, Result], /) -> CachedFunction[Parameters, Result]: ...
@overload
def cached(
    *,
    ttl: Seconds | None = None,
    key: Callable[..., object] | None = None,
    tags: Tags = (),
    namespace: str | None = None,
    version: str | None = None,
    negative_ttl: Seconds | None = None,
    negative_errors: tuple[type[Exception], ...] = (),
    stale_while_revalidate: Seconds = 0,
    jitter: float | None = None,
    lock: bool = False,
    lease: Seconds = 10,
    cache: Cache | None = None,
) -> Callable[[Callable[Parameters, Result]], CachedFunction[Parameters, Result]]: ...
def cached(
    function: Callable[..., Any] | None = None,
    /,
    *,
    ttl: Seconds | None = None,
    key: Callable[..., object] | None = None,
    tags: Tags = (),
    namespace: str | None = None,
    version: str | None = None,
    negative_ttl: Seconds | None = None,
    negative_errors: tuple[type[Exception], ...] = (),
    stale_while_revalidate: Seconds = 0,
    jitter: float | None = None,
    lock: bool = False,
    lease: Seconds = 10,
    cache: Cache | None = None,
) -> Any:
    """Keeps the results of a function or a coroutine function by its arguments.

    Args:
        function: the function, where the decorator is used without parentheses.
        ttl: for how many seconds a result is good; CACHE_DEFAULT_TTL when left out, `math.inf` for ever.
        key: makes the key of the arguments; needed where one is of a type that cannot be part of a key, as `self`.
        tags: what `invalidate_tags` finds results by, or a function of the arguments that gives them.
        namespace: what its values are called; module and name of the function when left out. Functions of one
            namespace share their values.
        version: raise it where results change their meaning.
        negative_ttl: for how many seconds None and `negative_errors` are kept; 0 keeps neither. When left out, None is
            kept like any result.
        negative_errors: exceptions that are kept and raised again.
        stale_while_revalidate: for how many seconds after its ttl a result is still served, while one call in the
            background computes a new one.
        jitter: share of the ttl by which a result may end early, at random.
        lock: whether one computation at a time runs for a key, among threads, tasks and, in Redis or on disk,
            processes.
        lease: with `lock`, for how many seconds others wait for a process that gives no sign of life.
        cache: where results are kept; `get_cache()` when left out.

    Returns:
        A function with the same arguments and results, and with `invalidate`, `clear`, `warm` and `report`.

    Raises:
        ValueError: an argument is not accepted.
        TypeError: `function` cannot be called, or is a generator.
    """
    if cache is not None and not hasattr(cache, "get_or_compute"):
        raise ValueError(f"cache={cache!r} is not accepted: a cache, such as cache=Cache('prices')")
    wishes = Wishes(
        ttl=None if ttl is None else accepted.ttl("ttl", ttl),
        key=_callable("key", key),
        tags=tags if callable(tags) else accepted.tags(tags),
        namespace=None if namespace is None else accepted.word("namespace", namespace, "prices"),
        version="" if version is None else accepted.word("version", version, "2"),
        negative=None if negative_ttl is None else accepted.ttl("negative_ttl", negative_ttl, zero=True),
        errors=_errors(negative_errors, negative_ttl),
        stale=accepted.ttl("stale_while_revalidate", stale_while_revalidate, zero=True),
        jitter=None if jitter is None else accepted.share("jitter", jitter),
        lock=lock,
        lease=accepted.ttl("lease", lease),
        cache=cache,
    )

    def decorate(function: Callable[..., Any]) -> Any:
        return keeping(_function(function), wishes)

    return decorate if function is None else decorate(function)


def cache_with_lock(
    ttl_seconds: Seconds | None = None,
    *,
    lease: Seconds = 10,
    key: Callable[..., object] | None = None,
    tags: Tags = (),
    namespace: str | None = None,
    version: str | None = None,
    cache: Cache | None = None,
) -> Callable[[Callable[Parameters, Result]], CachedFunction[Parameters, Result]]:
    """`cached(ttl=ttl_seconds, lock=True)`: one computation at a time for a key, whose value all get who wait for it.

    Threads and tasks of this process get its exception, too; other processes then compute for themselves.

    Args:
        ttl_seconds: for how many seconds a result is good; CACHE_DEFAULT_TTL when left out.
        lease: for how many seconds other processes wait for one that gives no sign of life, such as a killed one.
        key: as for `cached`.
        tags: as for `cached`.
        namespace: as for `cached`.
        version: as for `cached`.
        cache: as for `cached`.

    Raises:
        ValueError: an argument is not accepted.
    """
    if callable(ttl_seconds):
        raise ValueError("cache_with_lock is used with parentheses, such as @cache_with_lock(ttl_seconds=60)")
    if ttl_seconds is not None:
        accepted.ttl("ttl_seconds", ttl_seconds)
    return cached(
        ttl=ttl_seconds, key=key, tags=tags, namespace=namespace, version=version, lock=True, lease=lease, cache=cache
    )


def _callable(name: str, value: Any) -> Any:
    if value is not None and not callable(value):
        raise ValueError(
            f"{name}={value!r} is not accepted: a function of the arguments, such as {name}=lambda user: user.id"
        )
    return value


def _errors(errors: object, negative_ttl: object) -> tuple[type[Exception], ...]:
    found = errors if isinstance(errors, tuple) else (errors,)
    if not all(isinstance(one, type) and issubclass(one, Exception) for one in found):
        raise ValueError(
            f"negative_errors={errors!r} is not accepted: classes of exceptions, such as negative_errors=(KeyError,)"
        )
    if found and negative_ttl is None:
        raise ValueError("negative_errors is not accepted without negative_ttl, such as negative_ttl=10")
    return found


def _function(function: Any) -> Callable[..., Any]:
    if isinstance(function, (classmethod, staticmethod)):
        raise TypeError(f"cached goes below @{type(function).__name__}, on the function itself")
    if not callable(function) or not hasattr(function, "__qualname__"):
        raise TypeError(f"cached({function!r}) is not accepted: a function or a coroutine function")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"cached({function.__qualname__}) is not accepted: what a generator yields comes only once")
    return function  # type: ignore[no-any-return]

"""uWSGI: the applications that it is told to load by the name of their module.

uWSGI calls an application from C, so nothing can be put between the two. It looks the application up in its module,
though, so a function is replaced there, and for an object its class gets another `__call__`; those of frameworks with
an instrument of their own are measured by that. `--wsgi-file` with an application that is a plain function cannot be
seen: uWSGI runs that file past Python's import.
"""

from __future__ import annotations

import os

from perfagent.instruments import hook, wsgi
from perfagent.instruments.base import Instrument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any


class Uwsgi(Instrument):
    """Waits for the modules that uWSGI's options name; they are there before it imports the first."""

    name = "uwsgi"
    records = "a span a request of the applications that uWSGI is told by module; `--wsgi-file` of frameworks alone"

    def patch(self, module: ModuleType) -> None:
        for awaited, name in applications(vars(module).get("opt", {})):
            hook.when_imported(awaited, self._measuring(name))

    def _measuring(self, name: str) -> Callable[[ModuleType], None]:
        return lambda module: self._measure(module, name)

    def _measure(self, module: ModuleType, name: str) -> None:
        application = vars(module).get(name)
        if isinstance(application, type(_function)):
            self.replace(module, name, self._function)
        elif application is not None and callable(application) and hasattr(type(application), "__dict__"):
            try:
                self.replace(type(application), "__call__", self._method)
            except TypeError:  # a class in C: it stays unseen
                return

    def _function(self, application: wsgi.Application) -> wsgi.Application:
        def wrapper(environ: wsgi.Environ, start_response: wsgi.StartResponse) -> Any:
            return wsgi.call(self.scope, application, environ, start_response)

        return wrapper

    def _method(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def __call__(application: Any, environ: wsgi.Environ, start_response: Any) -> Any:  # noqa: N807
            return wsgi.call(self.scope, call.__get__(application), environ, start_response)

        return __call__


def applications(options: dict[str, Any]) -> list[tuple[str, str]]:
    """The module and the name of each application in uWSGI's options."""
    default = "".join(_values(options, "callable")[:1]) or "application"
    told = [value for option in ("module", "wsgi") for value in _values(options, option)]
    told += [value.partition("=")[2] for value in _values(options, "mount")]
    found = (value.partition(":") for value in told if not value.endswith((".py", ".wsgi", ".ini")))
    return [(module, name.removesuffix("()") or default) for module, _, name in found if module]


def _values(options: dict[str, Any], name: str) -> list[str]:
    """What an option was given; the keys and values of uWSGI are bytes."""
    values = options.get(name) or options.get(name.encode())  # type: ignore[call-overload]
    return [
        os.fsdecode(value)
        for value in (values if isinstance(values, list) else [values])
        if isinstance(value, bytes | str)
    ]


def _function() -> None: ...


instrument = Uwsgi()

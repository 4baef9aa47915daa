"""Where the values of options come from: the environment, a settings file, the default; the only reader of the former.

A table is a class with an option a line. Each subject of the library has one of its own, read when the subject is used:
a program that has no cache does not pay for the settings of one.
"""

from __future__ import annotations

import os
import sys

from perfagent.settings import file
from perfagent.settings.options import Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import TypeVar

    Own = TypeVar("Own", bound="Table")

_current: dict[type[Table], Table] = {}
_said: set[str] = set()


class Table:
    """Options of one subject in one process, read on first use and then constant.

    Args:
        environ: what stands for the environment; `os.environ` when left out.
        directory: where the settings file is looked for; the working directory when left out.
    """

    title = ""
    """Of its part of the reference page."""

    def __init__(self, environ: Mapping[str, str] | None = None, directory: str = ".") -> None:
        self.environ = os.environ if environ is None else environ
        self.directory = directory
        self.problems: list[str] = []
        self._layers: list[tuple[dict[str, str], str]] | None = None  # of the file

    def lookup(self, option: Option) -> tuple[object, str]:
        """The value of `option` and where it came from: a variable's name, a file's path or `default`."""
        for name in option.names:
            text = self.environ.get(name)
            if text:  # OpenTelemetry: an empty variable counts as unset
                return self._parse(option, text, name, name)
        if self._layers is None:
            self._layers = file.layers(self.directory, self._environment(), self._report_of_file)
        for values, origin in self._layers:
            for name in option.names:
                key = name.lower()
                for spelled in (key, key.removeprefix("perfagent_")):
                    if spelled in values:
                        return self._parse(option, values[spelled], spelled, origin)
        return option.default, "default"

    def sets(self, *names: str) -> bool:
        """Whether a variable of one of these names, or its key in a file, has a value; for who will not import the
        table that has the option only to learn that it is unset.
        """
        return self.lookup(Option(names[0], "", "", others=names[1:]))[1] != "default"

    def _environment(self) -> str:
        """Where the process runs, as its variables tell; "" where they do not."""
        found = self.environ.get("PERFAGENT_ENVIRONMENT", "")
        attributes = self.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
        if found or "deployment.environment" not in attributes:
            return found
        pairs = dict(part.strip().partition("=")[::2] for part in attributes.split(","))
        return pairs.get("deployment.environment.name") or pairs.get("deployment.environment", "")

    def _parse(self, option: Option, text: str, key: str, origin: str) -> tuple[object, str]:
        try:
            return option.parse(text), origin
        except ValueError:
            default = option.default if option.default != "" else "nothing"
            shown = "…" if "headers" in key.lower() else repr(text[:200])  # a header may be a password
            self.report(f"{key}={shown} is not accepted: {option.accepts}; going on with {default!r}")
            return option.default, "default"

    def report(self, problem: str) -> None:
        """Keeps `problem` for `perfagent doctor` and says it, once, on standard error."""
        if problem not in self.problems:
            self.problems.append(problem)
            print(f"perfagent: {problem}", file=sys.stderr, flush=True)

    def _report_of_file(self, problem: str) -> None:
        """As `report`; every table reads the same file, and the problem is said once."""
        if problem in _said:
            self.problems.append(problem)
        else:
            _said.add(problem)
            self.report(problem)

    def origins(self) -> Iterator[tuple[Option, object, str]]:
        """Every option with its value and where that came from, in the order of the table."""
        for option in self.options():
            yield option, *self.lookup(option)

    @classmethod
    def options(cls) -> tuple[Option, ...]:
        """Every option: those of the table in its order, then those of a table that it is made of."""
        return tuple(value for one in cls.__mro__ for value in vars(one).values() if isinstance(value, Option))

    @classmethod
    def option(cls, attribute: str) -> Option:
        """The option that an attribute of the table has its value from; raises KeyError where there is none."""
        return {one.attribute: one for one in cls.options()}[attribute]

    @classmethod
    def current(cls: type[Own]) -> Own:
        """The table of this process, shared by every part of it."""
        found = _current.get(cls)
        if found is None:
            found = _current[cls] = cls()
        return found  # type: ignore[return-value]

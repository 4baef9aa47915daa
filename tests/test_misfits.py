"""An instrument that a version of its library does not fit leaves the library as it was."""

from __future__ import annotations

from types import ModuleType

import pytest

from perfagent.instruments.base import Instrument


class Greeter(Instrument):
    """Of a library of two modules; the second has lost what is patched."""

    distribution = "pytest"

    def patch(self, module: ModuleType) -> None:
        self.replace(module.Greeter, "greet", lambda greet: lambda *arguments: greet(*arguments) + " and us")
        if module.__name__ == "greeter.context":
            self.replace(module._Context, "match", lambda match: match)


class Greeters(Greeter):
    """Of several libraries."""

    distribution = ""


def modules() -> list[ModuleType]:
    """Three, each with a class of its own; the second one is without a context."""
    made = []
    for name in ("greeter", "greeter.context", "greeter.late"):
        module = ModuleType(name)
        module.Greeter = type("Greeter", (), {"greet": lambda self: "hello"})  # type: ignore[attr-defined]
        made.append(module)
    return made


def greetings(instrument: Instrument) -> list[str]:
    """What each module's greeter says once all have been imported."""
    imported = modules()
    for module in imported:
        if module.__name__ == "greeter.context":
            with pytest.raises(AttributeError, match="_Context"):
                instrument.apply(module)
        else:
            instrument.apply(module)
    return [module.Greeter().greet() for module in imported]


def test_no_part_of_a_library_stays_patched_where_one_patch_does_not_fit() -> None:
    instrument = Greeter()
    assert greetings(instrument) == ["hello", "hello", "hello"]
    assert instrument.reason.startswith("its version does not fit: AttributeError: ")


def test_the_other_libraries_of_an_instrument_stay_measured() -> None:
    instrument = Greeters()
    assert greetings(instrument) == ["hello and us", "hello", "hello and us"]
    assert instrument.reason == ""

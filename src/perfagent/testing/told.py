"""A test's outcome as it travels in a report, from a worker of pytest-xdist too, and as it is shown."""

from __future__ import annotations

from _pytest._code.code import ReprFileLocation, TerminalRepr

from perfagent.testing.limits import TIMES_SIGN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    import pytest
    from _pytest._io import TerminalWriter

    from perfagent.testing.judge import Outcome


def document(item: pytest.Item, outcome: Outcome, *, over: bool) -> dict[str, Any]:
    """What a test used, in types that JSON has.

    Args:
        over: whether it fails by its budget.
    """
    file, line, _ = item.location
    return {
        "test": item.nodeid,
        "file": file,
        "line": (line or 0) + 1,
        "measured": dict(outcome.measured),
        "limits": dict(outcome.limits),
        "runs": outcome.runs,
        "endpoints": {name: {"requests": times, **used} for name, (times, used) in outcome.endpoints.items()},
        "over": [excess.document() for excess in outcome.excesses] if over else [],
        "text": outcome.text(item.nodeid) if over else "",
    }


class Told(TerminalRepr):
    """A failure as pytest shows it.

    Args:
        text: all of it.
        crash: the line of the short summary.
    """

    def __init__(self, text: str, crash: ReprFileLocation) -> None:
        self.text = text
        self.reprcrash = crash

    @classmethod
    def of(cls, told: dict[str, Any]) -> Told:
        """That of a document."""
        first = told["over"][0]
        place = f", at {first['file']}:{first['line']}" if first.get("file") else ""
        return cls(told["text"], ReprFileLocation(told["file"], told["line"], first["message"] + place))

    def __str__(self) -> str:
        return self.text

    def toterminal(self, tw: TerminalWriter) -> None:
        """Writes it: what is wrong in red, the lines that did it in bold."""
        head, blank, tree = self.text.partition("\n\n")
        for line in head.split("\n"):
            tw.line(line, red=not line.startswith("    "), bold=line.startswith("    "))
        if blank:
            tw.line()
            for line in tree.split("\n"):
                tw.line(line, bold=TIMES_SIGN in line)

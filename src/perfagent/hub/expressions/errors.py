"""What is wrong with an expression, and where in it."""

from __future__ import annotations

SHOWN = 60  # characters on each side of the place


class BadExpression(ValueError):  # noqa: N818
    """An expression that cannot be used; the text says what is wrong, what is accepted, and shows the place.

    Args:
        message: what is wrong and what to write instead.
        text: the expression.
        at: position of the character that it is about, from 0.
    """

    def __init__(self, message: str, text: str, at: int) -> None:
        self.message, self.text, self.at = message, text, min(max(at, 0), len(text))
        super().__init__(f"column {self.column}: {message}\n{self.picture}")

    @property
    def column(self) -> int:
        """Of the character that it is about, from 1."""
        return self.at + 1

    @property
    def picture(self) -> str:
        """The expression about the place, and a mark below that."""
        begin, end = max(0, self.at - SHOWN), self.at + SHOWN
        line = "".join(character if character.isprintable() else " " for character in self.text[begin:end])
        before, after = "…" if begin else "", "…" if end < len(self.text) else ""
        return f"  {before}{line}{after}\n  {' ' * (len(before) + self.at - begin)}^"

    @property
    def line(self) -> str:
        """All of it but the picture, for a log or a table."""
        return f"column {self.column}: {self.message}"


class BadPattern(ValueError):  # noqa: N818
    """A regular expression that is not accepted.

    Args:
        message: what is wrong.
        at: position in the pattern, from 0.
    """

    def __init__(self, message: str, at: int) -> None:
        super().__init__(message)
        self.message, self.at = message, at

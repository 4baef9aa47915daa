"""Tables and lines for people: coloured by rich where it is installed, else as plain text.

Whatever came from a program is cleaned before it is shown: a span's name must not steer the reader's terminal.
"""

from __future__ import annotations

import json
import shutil
import sys
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from perfagent.cli import figures

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TextIO

PIPED_WIDTH = 160  # columns where no terminal tells: long enough for a route and its figures
NARROWEST = 14  # columns that a text keeps before a column of less use goes
WIDEST = 400  # columns that a text may take where nothing limits the line
PLAIN = str.maketrans("▁▂▃▄▅▆▇█▏▎▍▌▋▊▉…", "_.-:=+*#.......~")  # for a terminal that knows ASCII alone
STYLES = {"bad": "red", "warn": "yellow", "good": "green", "dim": "dim", "bold": "bold", "head": "bold cyan"}


class Mark(NamedTuple):
    """A text with a style, one of `STYLES`."""

    text: str
    style: str


Cell = str | Mark
Line = str | Mark | list[Cell]


class Column(NamedTuple):
    """A column of a table.

    Args:
        title: its heading.
        right: whether it holds numbers.
        wide: whether it may be cut to fit.
        drop: columns with a higher number go first where the terminal is narrow; 0 stays.
    """

    title: str
    right: bool = False
    wide: bool = False
    drop: int = 0


@dataclass
class Table:
    """Rows under headings; a row has one cell a column."""

    columns: Sequence[Column]
    rows: list[Sequence[Cell]] = field(default_factory=list)

    def fitting(self, width: int) -> tuple[list[int], list[int]]:
        """Which columns fit into `width`, by their positions, and how wide each is."""
        kept = list(range(len(self.columns)))
        while True:
            widths = [
                max([cells(self.columns[at].title), *(cells(_text(row[at])) for row in self.rows)]) for at in kept
            ]
            over = sum(widths) + 2 * (len(kept) - 1) - width
            wide = [place for place, at in enumerate(kept) if self.columns[at].wide]
            spare = sum(max(widths[place] - NARROWEST, 0) for place in wide)
            loose = [at for at in kept if self.columns[at].drop]
            if over <= spare or not loose:
                break
            kept.remove(max(loose, key=lambda at: self.columns[at].drop))
        while over > 0 and wide:
            widest = max(wide, key=lambda place: widths[place])
            if widths[widest] <= 4:
                break
            widths[widest] -= 1
            over -= 1
        return kept, widths

    def _natural(self, at: int) -> int:
        title = cells(self.columns[at].title)
        return min(max([title, *(cells(_text(row[at])) for row in self.rows)]), WIDEST)


Part = Line | Table


def show(parts: Iterable[Part]) -> None:
    """Prints to standard output; colours only where a terminal reads them."""
    text = render(parts, terminal_width(), colour=sys.stdout.isatty())
    sys.stdout.write(text if _speaks_unicode(sys.stdout) else text.translate(PLAIN))


def terminal_width() -> int:
    """How many columns there are; COLUMNS is obeyed."""
    return shutil.get_terminal_size((PIPED_WIDTH, 24)).columns


def show_json(data: object) -> None:
    """Prints `data` for machines."""
    print(json.dumps(data, indent=2, ensure_ascii=not _speaks_unicode(sys.stdout)))


def render(parts: Iterable[Part], width: int, *, colour: bool, whole: bool = False) -> str:
    """The text of `parts`.

    Args:
        parts: sentences and tables, from top to bottom.
        width: columns that a table may take.
        colour: whether a terminal reads it; NO_COLOR and the like are obeyed all the same.
        whole: whether it is for a screen of its own, where sentences are cut too; else the terminal wraps them.
    """
    width = max(width, 20)
    if colour:
        try:
            return _render_rich(_lines(parts, width, whole=whole), width)
        except ImportError:
            pass
    lines = _lines(parts, width, whole=whole)
    return "".join("".join(text for text, _style in line).rstrip() + "\n" for line in lines)


def _render_rich(lines: Iterable[list[tuple[str, str]]], width: int) -> str:
    import io

    from rich.console import Console
    from rich.text import Text

    # One column more than the lines have: rich would wrap one that ends at the edge.
    console = Console(file=io.StringIO(), force_terminal=True, width=width + 1, highlight=False, legacy_windows=False)
    for line in lines:
        console.print(Text.assemble(*((text, STYLES.get(style, "")) for text, style in line)), soft_wrap=True)
    shown: str = console.file.getvalue()  # type: ignore[attr-defined]
    return shown


def _lines(parts: Iterable[Part], width: int, *, whole: bool) -> Iterable[list[tuple[str, str]]]:
    for part in parts:
        if isinstance(part, Table):
            yield from _rows(part, width)
        else:
            line = [_pair(cell) for cell in (part if isinstance(part, list) else [part])]
            yield _cut(line, width) if whole else line


def _rows(table: Table, width: int) -> Iterable[list[tuple[str, str]]]:
    kept, widths = table.fitting(width)
    heads: list[Cell] = [Mark(column.title, "head") for column in table.columns]
    for row in [heads, *table.rows]:
        line: list[tuple[str, str]] = []
        for place, at in enumerate(kept):
            text, style = _pair(row[at])
            text = cut(text, widths[place])
            gap = " " * (widths[place] - cells(text))
            between = "  " if place else ""
            if table.columns[at].right:
                line += [(between + gap, ""), (text, style)]
            else:
                line += [(between, ""), (text, style), (gap, "")]
        yield _cut(line, width)


def _cut(line: list[tuple[str, str]], width: int) -> list[tuple[str, str]]:
    left, found = width, []
    for text, style in line:
        short = cut(text, left) if left else ""
        found.append((short, style))
        left -= cells(short)
    return found


def _pair(cell: Cell) -> tuple[str, str]:
    return (clean(cell.text), cell.style) if isinstance(cell, Mark) else (clean(cell), "")


def _text(cell: Cell) -> str:
    return _pair(cell)[0]


def clean(text: str) -> str:
    """One line without control characters: what a program sent must not move the cursor, nor turn the text around."""
    if text.isprintable():  # nearly always, and twenty times faster
        return text
    return "".join(c if c.isprintable() else " " if c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in text)


def cells(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def cut(text: str, width: int) -> str:
    """The text, cut to `width` columns."""
    if cells(text) <= width:
        return text
    while text and cells(text) > width - 1:
        text = text[: width - 1] if len(text) >= width else text[:-1]
    return text + "…"


def shorten(text: str, width: int) -> str:
    """A statement that fits: what it reads from matters more than the columns, so these go first."""
    text = " ".join(text.split())
    table = text.upper().find(" FROM ")
    if len(text) > width and text[:7].upper() == "SELECT " and table > 0:
        text = f"{text[:6]} …{text[table:]}"
    return cut(text, width)


def draws(stream: TextIO) -> bool:
    """Whether a terminal can be drawn on; one that is called dumb, as in an editor's shell, cannot."""
    try:
        from rich.console import Console
    except ImportError:
        return True
    return not Console(file=stream).is_dumb_terminal


def _speaks_unicode(stream: TextIO) -> bool:
    return "utf" in (getattr(stream, "encoding", None) or "utf-8").lower()


def failing(value: float | None) -> Cell:
    """A ratio of errors: red where one in twenty fails, yellow where any does."""
    text = figures.percent(value)
    return text if not value else Mark(text, "bad" if value >= 0.05 else "warn")


def state(word: str) -> Mark:
    """A state in its colour."""
    style = {"healthy": "good", "ok": "good", "degraded": "warn", "unhealthy": "bad", "idle": "dim"}.get(word, "")
    return Mark(word, style)


def severity(word: str, width: int = 0) -> Mark:
    """A finding's severity in its colour, in at least `width` columns."""
    style = {"critical": "bad", "high": "bad", "medium": "warn", "warning": "warn", "low": "dim"}.get(word, "")
    return Mark(f"{word:<{width}}", style)

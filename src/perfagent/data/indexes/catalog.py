"""The tables of a database by their names, and the nearest names for one that is misspelled."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from perfagent.data.indexes.advice import Table


class Catalog:
    """The tables that statements may name.

    Args:
        tables: all of them.
        path: schemas that a name without one is looked up in, the first one first; tables of these are shown without.
    """

    def __init__(self, tables: Iterable[Table], path: Sequence[str] = ("",)) -> None:
        self.tables = list(tables)
        self.path = list(path)

    def find(self, name: str, schema: str = "") -> Table | None:
        """The table; without a schema that of the path, else the only one of its name. None where there is none."""
        found = [one for one in self.tables if one.name == name] or [
            one for one in self.tables if one.name.lower() == name.lower()
        ]
        if schema:
            return next((one for one in found if one.schema.lower() == schema.lower()), None)
        for place in self.path:
            for one in found:
                if one.schema == place:
                    return one
        return found[0] if len(found) == 1 else None

    def shown(self, table: Table) -> str:
        """The table's name as people write it."""
        return table.name if self.find(table.name) is table or not table.schema else f"{table.schema}.{table.name}"

    def wanted(self, text: str) -> Table:
        """The table that a person names, `table` or `schema.table`; raises ValueError with the nearest names."""
        schema, _, name = text.rpartition(".")
        found = self.find(text) or (self.find(name, schema) if schema else None)
        if found is None:
            raise ValueError(f"no table {text!r} here; {nearest(text, [self.shown(one) for one in self.tables])}")
        return found


def column(table: Table, name: str) -> str | None:
    """The column's name as the table has it, or None."""
    if name in table.columns:
        return name
    return next((one for one in table.columns if one.lower() == name.lower()), None)


def nearest(text: str, names: Sequence[str]) -> str:
    """What to say of names that are like `text`."""
    if not names:
        return "there are none"
    close = difflib.get_close_matches(text.lower(), [name.lower() for name in names], 3, 0.5)
    found = [name for name in names if name.lower() in close]
    if found:
        return f"did you mean {' or '.join(found[:3])}?"
    return f"there are: {', '.join(sorted(names)[:10])}{' …' if len(names) > 10 else ''}"

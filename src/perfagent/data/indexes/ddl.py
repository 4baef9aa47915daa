"""CREATE INDEX and DROP INDEX: every name quoted, and names of indexes that stay the same from run to run."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfagent.data.indexes.advice import Key

LONGEST = 63  # bytes of a PostgreSQL name; MySQL takes 64 characters
QUOTES = {"postgres": '"', "mysql": "`", "sqlite": '"'}


def quoted(name: str, dialect: str) -> str:
    """The name as an identifier, whatever is in it; raises ValueError for what none can have."""
    if not name or "\0" in name:
        raise ValueError(f"{name!r} cannot be a name in SQL")
    mark = QUOTES[dialect]
    return f"{mark}{name.replace(mark, mark * 2)}{mark}"


def qualified(schema: str, name: str, dialect: str) -> str:
    """The quoted name with its schema, where it has one."""
    return f"{quoted(schema, dialect)}.{quoted(name, dialect)}" if schema else quoted(name, dialect)


def key(one: Key, dialect: str) -> str:
    """A key as CREATE INDEX has it."""
    text = quoted(one.column, dialect)
    if one.function:
        text = f"{one.function}({text})"
        text = f"({text})" if dialect == "mysql" else text
    return " ".join(part for part in (text, one.opclass, one.order) if part)


def condition(fixed: tuple[str, str] | None, dialect: str) -> str:
    """The condition of a partial index, or ""."""
    if fixed is None:
        return ""
    column, rest = fixed
    return f"{quoted(column, dialect)}{rest}" if rest.startswith(" ") else f"{rest}{quoted(column, dialect)}"


def name(table: str, keys: Sequence[Key], where: str = "", *, unique: bool = False, method: str = "") -> str:
    """A name of at most 63 bytes, the same for the same index; what a plain name would not tell is in a digest."""
    words = [part for one in keys for part in (one.function, one.column) if part]
    plain = "_".join(["ux" if unique else "ix", table, *words])
    clean = re.sub(r"[^\w]+", "_", plain.lower()).strip("_")
    special = where or method or any(one.order or one.opclass for one in keys) or clean != plain
    if not special and len(clean.encode()) <= LONGEST:
        return clean
    content = repr((table, tuple(keys), where, unique, method))
    digest = hashlib.sha256(content.encode()).hexdigest()[:8]
    return clean.encode()[: LONGEST - 9].decode(errors="ignore").rstrip("_") + "_" + digest


def create(
    dialect: str,
    schema: str,
    table: str,
    keys: Sequence[Key],
    index: str,
    *,
    where: str = "",
    unique: bool = False,
    method: str = "",
    online: bool = True,
) -> str:
    """CREATE INDEX.

    Args:
        dialect: `postgres`, `mysql` or `sqlite`.
        schema: of the table; "" for the default one.
        table: its name.
        keys: in their order.
        index: the name of the index.
        where: the condition of a partial index, as SQL; "" for none.
        unique: whether duplicates are refused.
        method: such as `gin`; "" for the database's default.
        online: whether reading and writing goes on meanwhile, where the database can.
    """
    columns = ", ".join(key(one, dialect) for one in keys)
    words = ["CREATE", *(["UNIQUE"] if unique else []), "INDEX"]
    if dialect == "postgres":
        using = f" USING {quoted(method, dialect)}" if method else ""
        words += ["CONCURRENTLY"] if online else []
        words += [quoted(index, dialect), "ON", f"{qualified(schema, table, dialect)}{using} ({columns})"]
    elif dialect == "mysql":
        words += [quoted(index, dialect), *([f"USING {method.upper()}"] if method else [])]
        words += ["ON", f"{qualified(schema, table, dialect)} ({columns})"]
        words += ["ALGORITHM=INPLACE LOCK=NONE"] if online else []
    else:
        words += [qualified(schema, index, dialect), "ON", f"{quoted(table, dialect)} ({columns})"]
    return " ".join(words + ([f"WHERE {where}"] if where else []))


def drop(dialect: str, schema: str, table: str, index: str) -> str:
    """DROP INDEX, without stopping anybody where the database can."""
    if dialect == "mysql":
        place = qualified(schema, table, dialect)
        return f"ALTER TABLE {place} DROP INDEX {quoted(index, dialect)}, ALGORITHM=INPLACE, LOCK=NONE"
    word = "CONCURRENTLY " if dialect == "postgres" else ""
    return f"DROP INDEX {word}{qualified(schema, index, dialect)}"

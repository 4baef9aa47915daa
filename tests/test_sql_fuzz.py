"""The SQL sanitizer on real statements of seven dialects and on made-up ones: no literal survives, the shape stays.

The statements stand in `tests/data/sql`, with their literals marked by hand, and are read as the instruments of their
databases read them.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot.dialects import Dialect
from sqlglot.errors import TokenError

from perfagent.runtime.db import _describer
from perfagent.runtime.sql import SqlText

FOLDER = Path(__file__).parent / "data" / "sql"
SYSTEMS = {  # the file, and `db.system.name` as our instruments have it
    "postgresql": "postgresql", "mysql": "mysql", "sqlite": "sqlite", "oracle": "oracle.db",
    "sqlserver": "microsoft.sql_server", "duckdb": "duckdb", "clickhouse": "clickhouse",
}  # fmt: skip
SQLGLOT = {"postgresql": "postgres", "sqlserver": "tsql"}
OPEN, CLOSE = "\u2039", "\u203a"
LITERAL = re.compile(f"{OPEN}(.*?){CLOSE}", re.DOTALL)
MARKED = re.compile(f"{OPEN}(.*?){CLOSE}|\u27e6(.*?)\u27e7", re.DOTALL)


class Case(NamedTuple):
    dialect: str
    marked: str

    @property
    def sql(self) -> str:
        """The statement as its database reads it."""
        return re.sub(f"[{OPEN}{CLOSE}\u27e6\u27e7]", "", self.marked)

    @property
    def shown(self) -> str:
        """What may be shown of it."""
        return MARKED.sub(lambda match: " " if match[1] is None else "?", self.marked)

    def describe(self, sql: str = "") -> SqlText:
        return _describer(SYSTEMS[self.dialect])(sql or self.sql)


CASES = [
    Case(dialect, marked)
    for dialect in SYSTEMS
    for marked in re.split(rf"\n\n(?![^{OPEN}]*{CLOSE})", (FOLDER / f"{dialect}.sql").read_text().strip())
]
cases = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.dialect}-{case.marked[:30]!r}")


def folded(text: str) -> str:
    """A text without the number of elements in its lists and rows, which the sanitizer leaves out."""
    text = " ".join(text.split())
    text = re.sub(r"\?(?: ?, ?\?)+", "?", text)
    text = re.sub(r"(\bVALUES ?\([^()]*\))(?: ?, ?\([^()]*\))+", r"\1", text)
    return re.sub(r"(\(\?\))(?: ?, ?\(\?\))+", r"\1", text)


def parts(found: SqlText) -> tuple[str, str, str, str]:
    return found.text, found.operation, found.collection, found.summary


def told(text: str) -> Counter[str]:
    """The words and numbers of a text that say something."""
    return Counter(re.findall(r"\w{3,}", text.lower()))


@cases
def test_every_literal_and_comment_of_a_real_statement_goes_and_its_shape_stays(case: Case) -> None:
    assert folded(case.describe().text) == folded(case.shown)


@cases
def test_no_word_and_no_number_of_a_literal_is_in_any_part(case: Case) -> None:
    allowed = told(case.shown)
    for part in parts(case.describe()):
        assert not told(part) - allowed
        assert "canary" not in part.lower()


@cases
def test_a_statement_cut_anywhere_tells_nothing_of_the_literal_that_it_is_cut_in(case: Case) -> None:
    for end in range(1, len(case.sql)):
        assert not [part for part in parts(case.describe(case.sql[:end])) if "cana" in part.lower()]


@cases
def test_case_and_blanks_change_nothing_of_what_goes(case: Case) -> None:
    spread = "".join(
        piece or "" if place % 3 else re.sub(r"(?<=[\s,()=])(?=\w)", "\n\t ", piece.swapcase())
        for place, piece in enumerate(MARKED.split(case.marked))
    )
    if re.search(r"\$\w|q'", spread):  # whose names and marks mean something in their own case
        return
    assert "canary" not in " ".join(parts(case.describe(spread))).lower()


@cases
def test_sqlglot_finds_all_words_and_names_in_what_is_shown_in_their_order(case: Case) -> None:
    whole, shown, wanted = (words(case.dialect, text) for text in (case.sql, case.describe().text, folded(case.shown)))
    if whole is not None and shown is not None and wanted is not None:
        rest = iter(whole)
        assert all(any(word == other for other in rest) for word in shown)
        assert set(shown) == set(wanted)


def words(dialect: str, sql: str) -> list[str] | None:
    """The words that are no literal, as sqlglot reads them; None where it does not know the dialect that well."""
    try:
        found = Dialect.get_or_raise(SQLGLOT.get(dialect, dialect)).tokenize(sql)
    except TokenError:
        return None
    kept = [token.text for token in found if not token.token_type.name.endswith(("STRING", "NUMBER", "TRUE", "FALSE"))]
    return [text.upper() for text in kept if re.fullmatch(r"[^\W\d].*", text)]


CANARY, DIGITS = "XyZzY", "7654321"
# Whatever ends, escapes or begins a literal, a name or a comment in some dialect.
pieces = st.sampled_from(
    ["'", '"', "`", "\\", "$", "$$", "$a$", "--", "-- ", "#", "/*", "*/", "/*!", "[", "]", "{", "}", "(", ")", ",", ";",
     ":", "?", "%s", "@", "\n", "\r", "\t", "\0", "e'", "E'", "q'[", "N'", "0x", "é", "\xa0", "\ud800", "IN (",
     "VALUES (", "TRUE", "a", "1", " "]
)  # fmt: skip
bodies = st.tuples(st.lists(pieces, max_size=6), st.lists(pieces, max_size=6)).map(
    lambda both: f"{''.join(both[0])}{CANARY}{''.join(both[1])}"
)
numbers = st.sampled_from(
    [DIGITS, f"{DIGITS}.5", f"0.{DIGITS}", f".{DIGITS}", f"{DIGITS}.", f"1e{DIGITS}", f"{DIGITS}E-5", f"0x{DIGITS}",
     f"0b{DIGITS}", f"7_{DIGITS}_5", f"{DIGITS}e+7"]
)  # fmt: skip


def doubled(body: str, quote: str = "'") -> str:
    return quote + body.replace(quote, quote * 2) + quote


def escaped(body: str, quote: str = "'") -> str:
    return quote + body.replace("\\", "\\\\").replace(quote, "\\" + quote) + quote


def doubled_and_escaped(body: str, quote: str = "'") -> str:
    return doubled(body.replace("\\", "\\\\"), quote)


def tagged(body: str) -> str:
    return f"$t${body.replace('$', '')}$t$"


def bracketed(body: str) -> str:
    return f"q'[{body.replace(']', '')}]'"


FORMS = {
    # What the server makes of a backslash in '…' is a setting in PostgreSQL: text behind a doubtful quote is left out.
    "postgresql": (lambda body: doubled(body.replace("\\", "")), lambda body: f"E{escaped(body)}", tagged),
    "mysql": (
        escaped, doubled_and_escaped, lambda body: escaped(body, '"'), lambda body: doubled_and_escaped(body, '"'),
    ),
    "sqlite": (doubled,),
    "oracle": (doubled, bracketed, lambda body: f"N{doubled(body)}"),
    "sqlserver": (doubled, lambda body: f"N{doubled(body)}"),
    "duckdb": (doubled, tagged, lambda body: f"E{escaped(body)}"),
    "clickhouse": (escaped, doubled_and_escaped),
}  # fmt: skip


def refilled(case: Case, data: st.DataObject) -> Case:
    """The statement with other literals, each of the kind that stands there, holding the canary."""

    def refill(match: re.Match[str]) -> str:
        literal = match[1]
        if re.fullmatch(r"[\d._]+(?:[eE][+-]?\d+)?", literal):
            return f"{OPEN}{data.draw(numbers)}{CLOSE}"
        bare = not re.search(r"\w", match.string[match.start() - 1])  # else a prefix would be part of that word
        if literal[0] == "'" or (literal[0] == '"' and case.dialect == "mysql"):
            forms = FORMS[case.dialect] if bare else FORMS[case.dialect][:1]
            return f"{OPEN}{data.draw(st.sampled_from(forms))(data.draw(bodies))}{CLOSE}"
        return match[0]

    return Case(case.dialect, LITERAL.sub(refill, case.marked))


@pytest.mark.slow
@pytest.mark.parametrize("dialect", SYSTEMS)
@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_whatever_stands_in_its_literals_a_statement_shows_the_same(dialect: str, data: st.DataObject) -> None:
    plain = data.draw(st.sampled_from([case for case in CASES if case.dialect == dialect]))
    case = refilled(plain, data)
    found = case.describe()
    assert folded(found.text) == folded(plain.shown)
    assert not [part for part in parts(found) if CANARY in part or DIGITS in part]
    assert parts(found)[1:] == parts(plain.describe())[1:]


@pytest.mark.slow
@pytest.mark.parametrize("dialect", SYSTEMS)
@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_a_statement_cut_in_the_middle_of_anything_shows_no_half_of_a_literal(
    dialect: str, data: st.DataObject
) -> None:
    case = refilled(data.draw(st.sampled_from([case for case in CASES if case.dialect == dialect])), data)
    found = case.describe(case.sql[: data.draw(st.integers(0, len(case.sql)))])
    assert not [part for part in parts(found) if CANARY[:3] in part or CANARY[-3:] in part or DIGITS[:4] in part]


@pytest.mark.slow
@pytest.mark.parametrize("dialect", SYSTEMS)
@given(data=st.data(), body=bodies)
@settings(max_examples=50, deadline=None)
def test_comments_of_a_program_go_with_all_that_they_hold(dialect: str, data: st.DataObject, body: str) -> None:
    case = data.draw(st.sampled_from([case for case in CASES if case.dialect == dialect]))
    inside = body.replace("*", "").replace("/", "").replace("!", "")
    line = body.replace("\n", "").replace("\r", "")
    shown = folded(case.shown)
    commenter = f"/*app='{CANARY}',traceparent='00-{DIGITS}{DIGITS}-01'*/"  # as sqlcommenter writes them
    for sql in (
        f"{case.sql} {commenter}",
        f"{commenter} {case.sql}",
        f"/* {inside} */{case.sql}",
        f"-- {line}\n{case.sql}",
    ):
        found = case.describe(sql)
        assert folded(found.text) == shown
        assert not [part for part in parts(found) if CANARY in part or DIGITS in part]


HUGE = {
    "a list": ("SELECT * FROM t WHERE a IN (", "'canary', ", "'x')"),
    "rows": ("INSERT INTO t (a, b) VALUES ", "(1, 'canary'), ", "(2, 'x')"),
    "one string": ("SELECT * FROM t WHERE a = '", "canary'' ", "'"),
    "one comment": ("/* ", "canary ' \" ", "*/ SELECT 1"),
    "line comments": ("SELECT 1 ", "-- canary\n", "FROM t"),
    "parentheses": ("SELECT ", "(", "1"),
    "subqueries": ("SELECT * FROM ", "(SELECT * FROM t WHERE a = 'canary' AND b IN ", "(1)"),
    "cases": ("SELECT ", "CASE WHEN a = 'canary' THEN 1 ELSE ", "2"),
    "unions": ("SELECT 1 FROM t", " UNION ALL SELECT 'canary' FROM t", ""),
    "dollars": ("SELECT ", "$a$ canary $b$ ", ""),
    "amounts": ("SELECT ", "$ - $77 ", ""),
    "formats": ("INSERT INTO t ", "INSERT INTO format ", "FORMAT CSV 'canary'"),
    "quoted names": ("SELECT ", '"canary"".', '"'),
    "passwords": ("ALTER USER ", "IDENTIFIED BY WITH AS ", "x"),
    "logins": ("CREATE USER ", "IDENTIFIED BY canary REPLACE canary ", "x"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", HUGE)
def test_a_statement_of_a_million_characters_takes_linear_time_and_little_of_it(kind: str) -> None:
    head, piece, tail = HUGE[kind]

    def seconds(system: str, length: int) -> float:
        describe = _describer(system)
        sql = head + piece * (length // len(piece)) + tail
        best = float("inf")
        for _ in range(2):
            started = time.thread_time()
            found = describe(sql)
            best = min(best, time.thread_time() - started)
        assert kind in ("quoted names", "passwords", "dollars") or "canary" not in "".join(parts(found))
        return best

    for system in ("postgresql", "mysql", "clickhouse", "microsoft.sql_server"):
        # Four times as long within what is read takes some four times as long; beyond that nothing is read.
        assert seconds(system, 16_000) < 25 * seconds(system, 4_000) + 0.01
        assert seconds(system, 1_000_000) < 10 * seconds(system, 16_384) + 0.01

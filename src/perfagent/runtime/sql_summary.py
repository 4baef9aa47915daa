"""Which verbs a SQL statement has and which tables it names ("Generating a summary of the query").

It reads what `sql.py` has made of the statement, where no literal and no comment is left. It knows no grammar: a verb
tells whether a table follows, FROM and JOIN announce one where a verb reads, and a parenthesis holds its own state.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    _Value = TypeVar("_Value")

LIMIT = 255  # characters (semantic conventions)
SOURCE, TARGET, NAMED = 1, 2, 3  # what the next name is: a table or function, a table, something else worth telling


class _Verb:
    """What may follow a verb: a name of kind `expects`, tables after FROM, more names after a comma."""

    __slots__ = ("expects", "lists", "reads")

    def __init__(self, expects: int = 0, reads: bool = False, lists: bool = False) -> None:
        self.expects = expects
        self.reads = reads
        self.lists = lists


def _each(words: str, value: _Value) -> dict[str, _Value]:
    return dict.fromkeys(words.split(), value)


_READS = _Verb(reads=True)
_UNKNOWN = _Verb()
_ALONE = _Verb()  # what follows is no table, and may be a word that only looks like a verb
_DEFINES = _Verb()
_VERBS = {
    "SELECT": _READS,
    **_each("UPDATE DELETE", _Verb(TARGET, reads=True, lists=True)),
    **_each("INSERT REPLACE MERGE", _Verb(TARGET, reads=True)),
    **_each("COPY TABLE DESCRIBE DESC REFRESH REINDEX", _Verb(TARGET)),
    **_each("TRUNCATE LOCK VACUUM ANALYZE ANALYSE OPTIMIZE", _Verb(TARGET, lists=True)),
    **_each("CREATE ALTER DROP", _DEFINES),
    **_each("CALL EXEC EXECUTE PRAGMA SET RESET SHOW USE", _Verb(NAMED)),
    **_each(
        "ABORT ATTACH BEGIN CHECKPOINT CLOSE COMMENT COMMIT DEALLOCATE DETACH DISCARD DO END FETCH FLUSH GRANT KILL "
        "LISTEN MOVE NOTIFY RELEASE REVOKE ROLLBACK SAVEPOINT START UNLISTEN UNLOCK",
        _ALONE,
    ),
}
_DATA_VERBS = frozenset(("DELETE", "INSERT", "MERGE", "REPLACE", "SELECT", "UPDATE"))
_EXPLAINS = frozenset(("EXPLAIN", "PROFILE"))
_DEFINED = {  # an object's kind, and what its name is
    **_each("TABLE VIEW", TARGET),
    **_each("DATABASE DOMAIN EXTENSION FUNCTION INDEX PROCEDURE SCHEMA SEQUENCE TRIGGER TYPE", NAMED),
    **_each("POLICY ROLE RULE SERVER USER", 0),
}
# Words between a verb and its name, and the kind of name that alone they stand before. None is a usual table's name.
_PASSED = {
    **_each("MATERIALIZED TABLE TABLES VIEW", TARGET),
    **_each("ABORT ANALYZE CONCURRENTLY DELAYED EXISTS FAIL FULL GLOBAL HIGH_PRIORITY IF IGNORE LOCAL LOW_PRIORITY", 0),
    **_each("NOT OR OVERWRITE QUICK REPLACE ROLLBACK SESSION TRUNCATE VERBOSE", 0),
}
_ENDS = _each(
    "DUPLICATE EXCEPT FOR GROUP HAVING INTERSECT LIMIT OFFSET ORDER RETURNING SET UNION VALUES WHERE WINDOW", 0
)
_WORDS = _DATA_VERBS.union(_ENDS, _each("( ) , ; AS FROM INTO JOIN ON STRAIGHT_JOIN USING WITH", 0))

_WORD = r"[^\x00-@\[-^`{-\x7f][^\x00-\"%-/:-@\[-^`{-\x7f]*"  # any character beyond ASCII is a letter
_QUOTED = r"""#{1,2}\w+|"[^"]*(?:""[^"]*)*"|`[^`]*(?:``[^`]*)*`|\[[^\W0-9][\w $#@]*\]"""
_TOKENS = re.compile(rf"(?:{_WORD}|{_QUOTED})(?: ?\. ?(?:{_WORD}|{_QUOTED}))*|[(),;]|%\([^()]*\)s|[:$@%]{{1,2}}\w+|\?")


def summarize(text: str) -> tuple[str, str, str]:
    """Finds the verbs and tables of a statement.

    Args:
        text: the statement without literals and comments.

    Returns:
        Its operation, its first collection, and its summary; each may be "".
    """
    reader = _Reader(_TOKENS.findall(text))
    reader.read()
    summary = ""
    for term in reader.terms:
        longer = f"{summary} {term}" if summary else term
        if len(longer) > LIMIT:
            break
        summary = longer
    return reader.operation, reader.collection if len(reader.collection) <= LIMIT else "", summary


class _Reader:
    """Goes through the tokens of a statement once."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.operation = ""
        self.collection = ""
        self.terms: list[str] = []
        self.ctes: set[str] = set()
        self.outer: list[tuple[bool, int, bool]] = []  # reads, lists and naming of the parentheses around
        self.writes = False  # the main verb's target has not come yet
        self.resume = 0  # the tokens before this one are done with
        self._begin_statement()

    def _begin_statement(self) -> None:
        self.starts = True  # the verb has not come yet
        self.explains = False
        self.indexes = False  # ON announces the table of an index or a trigger
        self.lists = 0  # what a comma announces
        self.expects = 0  # what the next name is
        self.reads = False  # FROM and JOIN announce tables
        self.naming = False  # after WITH, until the verb
        self.outer.clear()

    def read(self) -> None:
        """Fills operation, collection and terms."""
        for at, token in enumerate(self.tokens):
            if at < self.resume:
                continue
            word = token.upper()
            if word in _WORDS:
                self._word(word, at)
            elif self.expects or self.starts or self.naming:
                self._name(token, word, at)

    def _word(self, word: str, at: int) -> None:
        if word in "(),;":
            self._mark(word)
        elif self.starts and word != "AS":
            self._start(word, at)
        elif word in _DATA_VERBS:
            if self._is_verb(word, at):
                self._verb(word, at)
            elif self.expects != TARGET or word not in _PASSED:
                self.expects = 0
        elif word in _ENDS:
            self.lists = self.expects = 0
        elif word == "WITH":
            self.naming = self._token(at + 2) in ("AS", "(") or self._token(at + 1) == "RECURSIVE"
            self.naming = self.naming and self._token(at + 1) not in ("(", "ORDINALITY")
        else:
            self._announce(word, at)

    def _announce(self, word: str, at: int) -> None:
        if word == "ON":
            if self.indexes and not self.outer:
                self.indexes, self.expects = False, TARGET
        elif not self.reads or self.expects == TARGET:  # `INSERT INTO t`, `DELETE FROM t`: it is announced already
            pass
        elif word == "FROM":
            if self._token(at - 1) != "DISTINCT":  # `a IS DISTINCT FROM b`
                self.expects = self.lists = SOURCE
        elif word == "INTO":
            self.expects = TARGET
        elif word in ("JOIN", "STRAIGHT_JOIN") or (word == "USING" and self._token(at + 1) != "("):
            self.expects = SOURCE

    def _mark(self, mark: str) -> None:
        if mark == "(":
            self.outer.append((self.reads, self.lists, self.naming))
            source = self.expects == SOURCE  # `FROM (a JOIN b)`
            self.reads, self.lists, self.expects, self.naming = source, SOURCE * source, SOURCE * source, False
        elif mark == ")":
            if self.outer:
                self.reads, self.lists, self.naming = self.outer.pop()
            self.expects = 0
        elif mark == ",":
            self.expects = self.lists
        else:
            self._begin_statement()

    def _name(self, token: str, word: str, at: int) -> None:
        if self.starts:
            self._start(word, at)
        elif self.naming:
            self.ctes.add(word)
        elif token[0] in "?:@$%":
            self.expects = 0
        elif word not in ("ONLY", "LATERAL") and (
            self.expects == SOURCE or _PASSED.get(word, SOURCE) not in (0, self.expects)
        ):
            self._take(token, word, at)

    def _take(self, token: str, word: str, at: int) -> None:
        kind, self.expects = self.expects, 0
        if kind == SOURCE and (word in self.ctes or self._token(at + 1) == "("):  # `FROM generate_series(1, 9)`
            return
        self.terms.append(token)
        if kind == NAMED:
            return
        if self.writes or not self.collection:
            self.collection = token
        self.writes = False

    def _start(self, word: str, at: int) -> None:
        """Takes the first word of a statement, or the word after EXPLAIN."""
        if word == "WITH":
            self.starts, self.naming = False, True
        elif word in _EXPLAINS:
            self.explains = True
            self.operation = self.operation or word
            self.terms.append(word)
        elif self.explains and word not in _DATA_VERBS and word not in ("CREATE", "DECLARE", "EXECUTE", "TABLE"):
            pass
        elif word.isascii() and len(word) <= 32 and word.replace("_", "A").isalpha():
            self._verb(word, at)
        else:
            self.starts = False

    def _is_verb(self, word: str, at: int) -> bool:
        """Whether it is not a word of another clause, as in `FOR UPDATE`, `ON DELETE CASCADE`, `replace(a, b)`."""
        if word == "SELECT":
            return True
        return self._token(at + 1) != "(" and (self.naming or self._token(at - 1) in ("(", "AS"))

    def _verb(self, word: str, at: int) -> None:
        verb = _VERBS.get(word, _UNKNOWN)
        main = not self.operation and (self.starts or self.naming)
        self.starts = self.naming = False
        term = word
        if verb is _DEFINES:
            term = self._define(word, at)
        else:
            self.expects, self.reads = verb.expects, verb.reads
            self.lists = verb.expects if verb.lists else 0
        if verb is _ALONE:
            self.resume = self._next_statement(at)
        if main:
            self.operation = term
            self.writes = verb.expects == TARGET
        self.terms.append(term)

    def _define(self, verb: str, at: int) -> str:
        """Finds what is created, altered or dropped, so that `CREATE UNIQUE INDEX` is told as `CREATE INDEX`."""
        self.reads, self.lists, self.expects = False, 0, 0
        for place in range(at + 1, at + 7):
            kind = self._token(place)
            if kind in _DEFINED:
                self.expects = _DEFINED[kind]
                self.lists = self.expects if verb == "DROP" else 0
                self.indexes = kind in ("INDEX", "TRIGGER")
                self.resume = place + 1
                return f"{verb} {kind}"
        return verb

    def _next_statement(self, at: int) -> int:
        try:
            return self.tokens.index(";", at)
        except ValueError:
            return len(self.tokens)

    def _token(self, at: int) -> str:
        return self.tokens[at].upper() if 0 <= at < len(self.tokens) else ""

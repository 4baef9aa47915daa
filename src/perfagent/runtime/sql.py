"""What a SQL statement says without its literals: text, operation, collection and summary.

Rules: OpenTelemetry semantic conventions, "Database client": sanitization of `db.query.text`, and `db.query.summary`.
It runs in the background thread, once for each distinct statement. Where a statement is ambiguous between dialects
(a backslash before a quote, a comment inside a comment) everything from there on is left out: no literal may leak.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from re import Pattern

LIMIT = 4096  # characters of the text
SUMMARY_LIMIT = 255  # characters, by the semantic conventions
READ = 4 * LIMIT  # characters looked at: bounds the work on a statement of 100 MB

VERBS = frozenset(
    (
        "SELECT INSERT UPDATE DELETE REPLACE MERGE CREATE ALTER DROP TRUNCATE BEGIN START COMMIT ROLLBACK SAVEPOINT "
        "RELEASE CALL EXEC EXECUTE SET SHOW USE EXPLAIN ANALYZE VACUUM PRAGMA COPY LOCK GRANT REVOKE DECLARE FETCH "
        "CLOSE LISTEN NOTIFY UNLISTEN DO VALUES PREPARE DEALLOCATE DESCRIBE ATTACH DETACH REINDEX REFRESH WITH END KILL"
    ).split()
)
DATA_VERBS = frozenset("SELECT INSERT UPDATE DELETE REPLACE MERGE".split())
BEFORE_NAMES = frozenset(
    "FROM JOIN INTO UPDATE TABLE INDEX VIEW DATABASE SCHEMA TRUNCATE COPY CALL EXEC PRAGMA".split()
)
PASSED_OVER = frozenset(
    "ONLY IF NOT EXISTS UNIQUE TEMP TEMPORARY CONCURRENTLY MATERIALIZED OR IGNORE LOW_PRIORITY LATERAL TABLE".split()
)
NO_NAMES = frozenset("SELECT SET WHERE VALUES ON USING AS UNNEST DUAL".split())

_PATTERN = r"""
    (?P<comment>--[^\n]*{hash}|/\*(?:[^*/]|\*(?!/)|/(?!\*))*(?:\*/|/\*.*|\Z))
  | (?P<literal>(?:[EeNnXxBbRr]|[Uu]&)?{quote}
      |\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?(?:\$(?P=tag)\$|\Z))
  | (?P<holder>%s|%\(\w+\)[a-z]|\$\d+|(?<![:\w]):[^\W\d]\w*|\?\d*)
  | (?P<number>\.?\d(?:[eE][+-]\d|[\w.$])*)
  | (?P<word>[^\W\d][\w$]*|{name}`[^`]*(?:`|\Z)|\[[^\W\d][\w ]*\])
  | (?P<space>\s+)
  | (?P<other>.)
"""
# A backslash before a quote escapes it in one dialect and ends the string in another: the rest is taken in, too.
_QUOTED = r"{q}(?:[^{q}\\]|{q}{q}|\\[^{q}])*(?:{q}|\\{q}.*|\\?\Z)"
_compiled: dict[bool, Pattern[str]] = {}
_lists: list[tuple[Pattern[str], str]] = []


class SqlText:
    """A statement as it may be shown.

    `text` has `?` in the place of every literal; `operation` is the verb in upper case; `collection` the first table;
    `summary` verbs and tables in their order. Any of the last three may be "".
    """

    __slots__ = ("collection", "operation", "summary", "text")

    def __init__(self, text: str, operation: str = "", collection: str = "", summary: str = "") -> None:
        self.text = text
        self.operation = operation
        self.collection = collection
        self.summary = summary


def describe(sql: str, double_quotes_are_strings: bool = False) -> SqlText:
    """Takes the literals out of a statement and finds what it does to which tables.

    Args:
        sql: the statement, of any length and with anything in it.
        double_quotes_are_strings: MySQL's reading of `"…"`, and of `#` as the start of a comment; else a name.

    Returns:
        Its parts; never raises.
    """
    pieces: list[str] = []
    reading = _Reading()
    for match in _pattern(double_quotes_are_strings).finditer(sql[:READ]):
        kind = match.lastgroup
        if kind in ("literal", "tag", "number"):
            pieces.append("?")
            reading.other("?")
        elif kind in ("space", "comment"):
            if pieces and pieces[-1] != " ":
                pieces.append(" ")
        else:
            token = match.group()
            pieces.append(token)
            if kind == "word":
                reading.word(token)
            else:
                reading.other(token)
    text = "".join(pieces).strip()
    for pattern, replacement in _lists:
        text = pattern.sub(replacement, text)
    return SqlText(text[:LIMIT], reading.operation[:64], reading.collection[:255], _fitting(reading.summary))


def _pattern(mysql: bool) -> Pattern[str]:
    found = _compiled.get(mysql)
    if found is None:
        import re

        single, double = _QUOTED.replace("{q}", "'"), _QUOTED.replace("{q}", '"')
        pattern = _PATTERN.replace("{hash}", r"|\#[^\n]*" if mysql else "")
        pattern = pattern.replace("{quote}", f"(?:{single}|{double})" if mysql else single)
        pattern = pattern.replace("{name}", "" if mysql else r'"(?:[^"]|"")*(?:"|\Z)|')
        found = _compiled[mysql] = re.compile(pattern, re.VERBOSE | re.DOTALL)
        if not _lists:
            holder = r"(?:\?\d*|%s|\$\d+|:\w+)"
            _lists.append((re.compile(rf"\b(in) ?\( ?({holder})(?: ?, ?{holder})+ ?\)", re.IGNORECASE), r"\1 (\2)"))
            _lists.append((re.compile(r"\b(values ?\([^()]*\))(?: ?, ?\([^()]*\))+", re.IGNORECASE), r"\1"))
    return found


def _fitting(words: list[str]) -> str:
    """The words that fit into a summary, none cut in two."""
    summary = ""
    for word in words:
        longer = f"{summary} {word}" if summary else word
        if len(longer) > SUMMARY_LIMIT:
            break
        summary = longer
    return summary


class _Reading:
    """Follows the words of a statement: which verb, which tables. Heuristic, linear, and content with anything."""

    def __init__(self) -> None:
        self.operation = ""
        self.collection = ""
        self.summary: list[str] = []
        self.previous = ""
        self.expecting = False  # a table's name is what comes next
        self.in_list = False  # in `FROM a, b`, after a name
        self.last = ""
        self.named = False  # a table's name has just been read
        self.naming = False  # and a dot after it
        self.selects = [True]  # for each open parenthesis, whether it holds a statement
        self.ctes: set[str] = set()
        self.in_with = False

    def word(self, token: str) -> None:
        """Takes a keyword or a name."""
        upper = token.upper()
        named, self.named = self.named, False
        if self.naming and named:
            self._extend(token)
        elif self.expecting and upper in PASSED_OVER:
            pass
        elif self.expecting and upper not in NO_NAMES and upper not in BEFORE_NAMES:
            self.expecting = False
            self._name(token)
        else:
            self.expecting = False
            self._keyword(upper, token)
        self.naming = False
        self.previous = upper

    def _keyword(self, upper: str, token: str) -> None:
        if upper in VERBS and self._begins_statement(upper):
            self._verb(upper)
        if upper == "AS" and self.in_with and len(self.selects) == 1:
            self.ctes.add(self.last)
        if upper in ("WHERE", "SET", "GROUP", "ORDER", "LIMIT", "RETURNING", "UNION", "SELECT", "VALUES"):
            self.in_list = False
        if upper in BEFORE_NAMES and self.selects[-1]:
            # `IS DISTINCT FROM x`, `ON DUPLICATE KEY UPDATE x`, `FOR UPDATE`: words that only look alike
            self.expecting = self.previous not in ("DISTINCT", "KEY", "FOR", "DO") and (
                upper not in ("UPDATE", "CALL", "EXEC", "PRAGMA", "COPY", "TRUNCATE") or self.summary[-1:] == [upper]
            )
        self.last = token

    def _begins_statement(self, upper: str) -> bool:
        if not self.operation or self.previous in ("", ";"):
            return True
        return upper in DATA_VERBS and self.previous not in ("FOR", "KEY", "ON", "DO", "OR", "THEN", "GRANT", "AFTER")

    def _verb(self, upper: str) -> None:
        if upper == "WITH" and not self.operation:
            self.in_with = True
            return
        if upper in DATA_VERBS:
            self.selects[-1] = True
        if self.in_with and len(self.selects) > 1:
            self.summary.append(upper)  # of a common table expression: the main statement is still to come
            return
        if upper == "REPLACE" and self.operation and self.operation != "EXPLAIN":
            return  # the function of that name
        self.in_with = False
        if not self.operation:
            self.operation = upper
        self.summary.append(upper)
        self.in_list = False

    def _name(self, token: str) -> None:
        self.last = token
        self.named = True
        if token in self.ctes:
            self.named = False
            return
        if not self.collection:
            self.collection = token
        self.summary.append(token)
        self.in_list = True

    def _extend(self, token: str) -> None:
        name = f"{self.last}.{token}"
        self.named = True
        if self.collection == self.last:
            self.collection = name
        if self.summary and self.summary[-1] == self.last:
            self.summary[-1] = name
        self.last = name

    def other(self, token: str) -> None:
        """Takes a literal or a mark."""
        if token == "(":
            self.selects.append(False)
            self.expecting = False
        elif token == ")" and len(self.selects) > 1:
            self.selects.pop()
        elif token == "." and self.named:
            self.naming = True
            return
        elif token == "," and self.in_list and self.selects[-1] and self.summary[-1:] != ["INSERT"]:
            self.expecting = True
        elif token == ";":
            self.in_list = self.expecting = False
        self.named = False
        self.previous = token

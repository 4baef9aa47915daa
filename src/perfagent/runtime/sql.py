"""What a SQL statement says without its literals: text, operation, collection and summary.

Rules: OpenTelemetry semantic conventions, "Database client spans": sanitization of `db.query.text`. It runs in the
background thread, once for each distinct statement. Where dialects disagree on where a literal ends (a backslash
before a quote, a comment inside a comment) and nothing tells which it is, everything from there on is left out.
"""

from __future__ import annotations

import re

from perfagent.runtime.sql_summary import summarize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from re import Pattern

LIMIT = 4096  # characters of the text
READ = 4  # times the limit is looked at of a longer statement, which bounds the work on one of 100 MB


class SqlText:
    """A statement as it may be shown.

    Args:
        text: the statement with `?` in place of every literal, without comments, its blanks reduced.
        operation: its verb in upper case, or "".
        collection: its first table as it is written there, or ""; what the main verb writes to goes first.
        summary: `db.query.summary`, verbs and tables in their order, 255 characters at most.
    """

    __slots__ = ("collection", "operation", "summary", "text")

    def __init__(self, text: str, operation: str = "", collection: str = "", summary: str = "") -> None:
        self.text = text
        self.operation = operation
        self.collection = collection
        self.summary = summary


def describe(
    sql: str,
    double_quotes_are_strings: bool = False,
    backslash_escapes: bool | None = None,
    limit: int = LIMIT,
) -> SqlText:
    """Takes the literals out of a statement and finds what it does to which tables.

    Args:
        sql: the statement, of any length and with anything in it.
        double_quotes_are_strings: MySQL's reading of `"…"` as a string, and of `#` as the start of a comment.
        backslash_escapes: whether a backslash in '…' escapes what follows (MySQL, ClickHouse) or is a character as
            any other (PostgreSQL, SQLite); None for as MySQL where double quotes are strings, and else unknown.
        limit: the most characters of the text.

    Returns:
        Its parts; never raises. The text is the same when it is described again.
    """
    if backslash_escapes is None and double_quotes_are_strings:
        backslash_escapes = True
    dialect = (double_quotes_are_strings, backslash_escapes)
    pattern = _compiled.get(dialect) or _compile(*dialect)
    whole = _sanitized(sql[: READ * limit], pattern, double_quotes_are_strings)
    text = whole
    if len(text) > limit:  # the cut may have opened a quoted name
        text = _sanitized(text[:limit], pattern, double_quotes_are_strings)
    return SqlText(text, *summarize(whole))


# Its first group is the longest run of what is shown as it is, so that a typical statement is a handful of matches and
# not one for each word. Nothing that follows a repetition can fail but at the end of one name: time is linear.
_PATTERN = r"""
    ((?: <letter><word>*(?!<word>|'|&')(?:<mark>+|\.(?![0-9]))?    # a word takes its digits with it
       | <mark>+
       | <name> | `[^`]*(?:``[^`]*)*`(?!`) | \[<letter><bracketed>*\]           # quoted names
       | \$[0-9]{1,5}(?![0-9]|\.[0-9]) | \?[0-9]* | (?<!<word>)(?<![.:?\])'"`\[]):[0-9]{1,5}(?![0-9])  # placeholders
       | [+-](?![-+.0-9]) | \.(?![0-9]) | /(?!\*) | [:\[] | <hash>
     )+)
  | (<comment>[^\n\r]*(?:\r(?!\n)<rest>)?    # at a lone carriage return it ends for PostgreSQL, and not for SQLite
     | /\*<until>(?:\*/|\Z))
  | (-(?=-))                                 # two signs, for MySQL wants a blank after the two that begin a comment
  | ((?:[nNxXbB]|[uU]&)?<single>
     | [eE]'[^'\\]*(?:(?:''|\\<any>)[^'\\]*)*(?:'|\\?\Z)
     | [nN]?[qQ]'(?:\[<until>(?:\]'|\Z)|\{<until>(?:\}'|\Z)|\(<until>(?:\)'|\Z)|<<until>(?:>'|\Z)
        |(?P<fence>\S)<until>(?:(?P=fence)'|\Z))
     | <double>
     | \$(?P<tag>(?:<letter><digit>*)?)\$<until>(?:\$(?P=tag)\$|\Z)
     | (?:[+-](?:(?<=[(,=<>*/%+|&-].)|(?<=[(,=<>*/%+|&-]\s.)<after>))?\.?[0-9](?:[eE][+-](?=[0-9])|<number>)*
     | ["`]<rest>)                           # a name that does not end may be a string
  | (<letter><word>* | <any>)
"""
# Sets of characters. To a database all beyond ASCII is a letter, only that a blank pasted from a page is none here.
# They are given by what they leave out, for `re` takes 25 ms to compile sets that reach so far.
_SETS = {
    "<letter>": r"[^\x00-@\[-^`{-\xa0]",
    "<digit>": r"[^\x00-/:-@\[-^`{-\xa0]",  # letters and digits
    "<word>": r"[^\x00-\#%-/:-@\[-^`{-\xa0]",  # and $
    "<number>": r"[^\x00-\-/:-@\[-^`{-\xa0]",  # letters, digits and the point
    "<bracketed>": r"""[^\x00-\x1f!"%-/:-?\[-^`{-\xa0]""",  # letters, digits and " #$@"
    "<mark>": r"[\x00-\x20!%&()*,;<=>@\\\]^{|}~\x7f-\xa0]",  # what begins nothing
    "<any>": r"[\s\S]",
}
_SIGN_FOLLOWS = ("AND", "BETWEEN", "ELSE", "LIMIT", "OFFSET", "OR", "SELECT", "THEN", "WHEN")
_ITEM = r"(?:\?[0-9]*|%s|%\(\w+\)s|\$[0-9]+|[:@]\w+|NULL|null)(?:::\w+)?"
_VALUES = r"[vV](?<!\w[vV])[aA][lL][uU][eE][sS]"
_ROW = r"""(?:[rR][oO][wW] ?)?\([^()"'`]*(?:\([^()"'`]*\)[^()"'`]*)*\)"""
_BLANKS = re.compile(r"[\t-\r\x1c- ]+")
_NEXT_ITEM = re.compile(r", ?[(?%$:@NR]", re.IGNORECASE)  # saves the look for lists, 5 us, where there is none
_BOOLEAN = re.compile(
    r"""\b(?:TRUE|FALSE)\b(?<![\w$:@.%"`\[]TRUE)(?<![\w$:@.%"`\[]FALSE)(?<!%\(TRUE)(?<!%\(FALSE)"""
    r"""(?<!\bIS TRUE)(?<!\bIS FALSE)(?<!\bIS NOT TRUE)(?<!\bIS NOT FALSE)(?![$"`\]])""",
    re.IGNORECASE,
)
# Oracle takes a password without quotes, or in those of a name.
_GIVEN = r"""(?:"[^"]*"?|[^\s";]+)"""
_PASSWORD = re.compile(
    rf"(\bIDENTIFIED (?:WITH \w+ )?(?:BY|AS) (?:VALUES )?){_GIVEN}(?:( REPLACE ){_GIVEN})?", re.IGNORECASE
)
_LISTS = tuple(  # letters in classes: a set to start with is searched three times as fast as a case-insensitive word
    (re.compile(pattern), once)
    for pattern, once in (
        (rf"([iI](?<!\w[iI])[nN] ?\( ?{_ITEM})(?: ?, ?{_ITEM})+(?:( ?\))| ?,? ?\Z)", r"\1\2"),
        (rf"(\[ ?{_ITEM})(?: ?, ?{_ITEM})+(?:( ?\])| ?,? ?\Z)", r"\1\2"),
        (rf"([iI](?<!\w[iI])[nN] ?\( ?{_ROW})(?: ?, ?{_ROW})+(?: ?,[^)\"'`]*\Z)?", r"\1"),
        (rf"""({_VALUES} ?{_ROW})(?: ?, ?{_ROW})+(?: ?,[^)"'`]*\Z)?""", r"\1"),
    )
)
_MONEY = re.compile("[$\xa2-\xa5\u20a0-\u20cf](?=[-+ ]*[0-9.])")
_INSERT = re.compile(r"\binsert\s+into\b", re.IGNORECASE)
_FORMAT = re.compile(r"""(?is)(?:'[^'\\]*(?:\\.[^'\\]*)*'|[^f']|(?<=\w)f|f(?!ormat\s+\w))*?\bformat\s+\w+""")
_compiled: dict[tuple[bool, bool | None], Pattern[str]] = {}


def without_data(sql: str) -> str:
    """A statement of ClickHouse without the rows that may follow an INSERT's format, which are no SQL."""
    insert = _INSERT.search(sql, 0, READ * LIMIT)
    found = insert and _FORMAT.match(sql, insert.end(), READ * LIMIT)
    return sql[: found.end()] if found else sql


def without_currencies(sql: str) -> str:
    """A statement of SQL Server without the marks that make a number an amount: `$1` is none of its placeholders."""
    return _MONEY.sub("", sql[: READ * LIMIT])


def _compile(double_quotes_are_strings: bool, backslash_escapes: bool | None) -> Pattern[str]:
    string = r"{q}[^{q}\\]*(?:(?:{q}{q}|<escape>)[^{q}\\]*)*(?:{q}|<doubt>\\?\Z)"
    if backslash_escapes is None:  # both readings agree as long as no backslash stands before a quote
        string = string.replace("<escape>", r"\\[^{q}]").replace("<doubt>", r"\\{q}<rest>|")
    else:
        string = string.replace("<escape>", r"\\<any>" if backslash_escapes else r"\\").replace("<doubt>", "")
    single = string.replace("{q}", "'")
    if backslash_escapes is None:  # what Django writes for SQLite after each LIKE
        single = rf"(?:(?<=[eE][sS][cC][aA][pP][eE]\s)'\\'(?!')|{single})"
    pattern = _PATTERN.replace("<single>", single)
    if double_quotes_are_strings:
        parts = ("(?!)", "(?!)", r"(?:--(?=[\x00-\x20]|\Z)|\#)", string.replace("{q}", '"'))
    else:
        parts = ('"[^"]*(?:""[^"]*)*"(?!")', r"\#", "--", "(?!)")
    for place, part in zip(("<name>", "<hash>", "<comment>", "<double>"), parts, strict=True):
        pattern = pattern.replace(place, part)
    words = ("".join(f"[{letter}{letter.lower()}]" for letter in word) for word in _SIGN_FOLLOWS)
    pattern = pattern.replace("<after>", "".join(rf"|(?<={word}\s.)" for word in words))
    pattern = pattern.replace("<until>", "<any>*?").replace("<rest>", "<any>*")
    for name, characters in _SETS.items():
        pattern = pattern.replace(name, characters)
    compiled = _compiled[double_quotes_are_strings, backslash_escapes] = re.compile(pattern, re.VERBOSE)
    return compiled


def _sanitized(sql: str, pattern: Pattern[str], mysql: bool) -> str:
    pieces: list[str] = []
    for match in pattern.finditer(sql):
        kind = match.lastindex
        if kind == 4:
            pieces.append("?")
        elif kind == 2:
            pieces.append(" ")
            if _is_doubtful(match.group(), mysql):
                break
        elif kind == 3:
            pieces.append("- ")  # or the blank that a comment leaves behind could make a comment of them
        else:
            pieces.append(match.group())
    text = "".join(pieces)
    # str.split knows blanks that are none to a database, and marks here
    text = " ".join(text.split()) if text.isascii() else _BLANKS.sub(" ", text).strip(" ")
    upper = text.upper()
    if "TRUE" in upper or "FALSE" in upper:
        text = _BOOLEAN.sub("?", text)
    if "IDENTIFIED" in upper:
        text = _PASSWORD.sub(lambda match: f"{match[1]}?{match[2]}?" if match[2] else f"{match[1]}?", text)
    if _NEXT_ITEM.search(text):
        for repeated, once in _LISTS:
            text = repeated.sub(once, text)
    return text


def _is_doubtful(comment: str, mysql: bool) -> bool:
    """Whether databases disagree on its end: comments nest in PostgreSQL, and MySQL runs what is in `/*! … */`."""
    if not comment.startswith("/*"):
        return False
    return "/*" in comment[2:] or (mysql and comment[2:3] in "!M" and any(quote in comment for quote in "'\"`#"))

"""Regular expressions that take time in proportion to the text: a part of RE2's syntax, matched without backtracking.

As in PromQL, a pattern must match the whole text. What RE2 does not have (references back, looking around) is not had
here either, so that a rule means the same in Prometheus. Method: K. Thompson, "Regular Expression Search Algorithm",
1968: all places in the pattern at which the match may be are followed at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from perfagent.hub.expressions.errors import BadPattern

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST = 300  # characters of a pattern
MOST_TIMES = 100  # of a repetition
MOST_STATES = 500
MOST_NESTED = 20  # groups in groups
READ = 500  # characters of a text; no more are looked at
DIGITS, SPACES = "0123456789", "\t\n\f\r "
WORD = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_" + DIGITS
REPEATS: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1), "{": (0, None)}
CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f"}


class Chars(NamedTuple):
    """A set of characters: single ones, ranges, or what is in neither."""

    singles: frozenset[str]
    ranges: tuple[tuple[str, str], ...] = ()
    inverted: bool = False

    def has(self, one: str) -> bool:
        """Whether a character is in it."""
        found = one in self.singles or any(low <= one <= high for low, high in self.ranges)
        return found != self.inverted


ANY = Chars(frozenset(), (), inverted=True)
CLASSES = {
    "d": Chars(frozenset(DIGITS)),
    "w": Chars(frozenset(WORD)),
    "s": Chars(frozenset(SPACES)),
    "D": Chars(frozenset(DIGITS), (), inverted=True),
    "W": Chars(frozenset(WORD), (), inverted=True),
    "S": Chars(frozenset(SPACES), (), inverted=True),
}


class Pattern:
    """A pattern, made ready.

    Args:
        text: the regular expression; `(?i)` in front of it does not tell upper from lower case.

    Raises:
        BadPattern: it is not accepted.
    """

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST:
            raise BadPattern(f"a pattern has at most {LONGEST} characters, this one {len(text)}", LONGEST)
        self.text = text
        self._folds = text.startswith("(?i)")
        self._text = text
        self._at = 4 if self._folds else 0
        self._deep = 0
        # States: a set of characters with the state that follows, or states that follow at once.
        self._chars: list[Chars | None] = []
        self._next: list[list[int]] = []
        piece = self._choice()
        if self._at < len(text):
            raise BadPattern("this ) closes nothing; write \\) for the character", self._at)
        self._end = self._state(None, [])
        self._begin = piece(self._end)

    def matches(self, text: str) -> bool:
        """Whether the whole text matches; of a longer one than READ characters, its beginning."""
        text = text[:READ]
        if self._folds:
            text = text.lower()
        at = self._closure({self._begin})
        for one in text:
            folded = one
            at = self._closure(
                {
                    self._next[state][0]
                    for state in at
                    if (chars := self._chars[state]) is not None
                    and (chars.has(folded) or (self._folds and chars.has(folded.upper())))
                }
            )
            if not at:
                return False
        return self._end in at

    def _closure(self, states: set[int]) -> set[int]:
        found, waiting = set(states), list(states)
        while waiting:
            state = waiting.pop()
            if self._chars[state] is None:
                for following in self._next[state]:
                    if following not in found:
                        found.add(following)
                        waiting.append(following)
        return found

    def _state(self, chars: Chars | None, following: list[int]) -> int:
        if len(self._next) >= MOST_STATES:
            raise BadPattern("the pattern repeats too much; write it shorter, or with smaller numbers in {}", 0)
        self._chars.append(chars)
        self._next.append(following)
        return len(self._next) - 1

    # Each piece is a function that makes its states in front of the state that follows, and returns the first of them.

    def _choice(self) -> Callable[[int], int]:
        pieces = [self._sequence()]
        while self._peek() == "|":
            self._at += 1
            pieces.append(self._sequence())
        if len(pieces) == 1:
            return pieces[0]
        return lambda end: self._state(None, [piece(end) for piece in pieces])

    def _sequence(self) -> Callable[[int], int]:
        pieces: list[Callable[[int], int]] = []
        while self._peek() not in ("", "|", ")"):
            one = self._peek()
            if one == "^" and self._at == (4 if self._folds else 0):
                self._at += 1  # a pattern is about the whole text anyway
            elif one == "$" and self._at == len(self._text) - 1:
                self._at += 1
            else:
                pieces.append(self._repeated())

        def sequence(end: int) -> int:
            if not pieces:
                return self._state(None, [end])  # each call makes a state, so that MOST_STATES bounds them as well
            for piece in reversed(pieces):
                end = piece(end)
            return end

        return sequence

    def _repeated(self) -> Callable[[int], int]:
        begin = self._at
        piece = self._atom()
        one = self._peek()
        if one not in REPEATS:
            return piece
        self._at += 1
        low, high = self._numbers() if one == "{" else REPEATS[one]
        if self._peek() == "?":
            self._at += 1  # lazy or greedy is the same where only the whole counts
        if self._peek() in REPEATS:
            raise BadPattern("a repetition of a repetition; put the inner one into ( )", self._at)
        if (low if high is None else high) > MOST_TIMES:
            raise BadPattern(f"a repetition is at most {MOST_TIMES} times", begin)
        return lambda end: self._repeat(piece, low, high, end)

    def _repeat(self, piece: Callable[[int], int], low: int, high: int | None, end: int) -> int:
        """The first of the states of a repetition in front of `end`."""
        if high == 0:
            return self._state(None, [end])
        if high is None:
            again = self._state(None, [end])
            self._next[again].insert(0, piece(again))
            end = again
        else:
            last = end
            for _ in range(high - low):
                end = self._state(None, [piece(end), last])
        for _ in range(low):
            end = piece(end)
        return end

    def _numbers(self) -> tuple[int, int | None]:
        begin, close = self._at, self._text.find("}", self._at)
        low, comma, high = self._text[begin : close if close > 0 else begin].partition(",")
        if close < 0 or not low.isdecimal() or not (high.isdecimal() or not high) or len(low) > 4 or len(high) > 4:
            raise BadPattern("after { comes {3}, {3,} or {3,5}; write \\{ for the character", begin - 1)
        self._at = close + 1
        if not comma:
            return int(low), int(low)
        if high and int(high) < int(low):
            raise BadPattern(f"{{{low},{high}}} has its numbers the wrong way round", begin - 1)
        return int(low), int(high) if high else None

    def _atom(self) -> Callable[[int], int]:
        one, begin = self._peek(), self._at
        self._at += 1
        if one == "(":
            if self._peek() == "?":
                if not self._text.startswith("?:", self._at):
                    raise BadPattern("after (? comes : alone here, and (?i) may begin the pattern", begin)
                self._at += 2
            self._deep += 1
            if self._deep > MOST_NESTED:
                raise BadPattern(f"groups are in one another at most {MOST_NESTED} times", begin)
            piece = self._choice()
            self._deep -= 1
            if self._peek() != ")":
                raise BadPattern("this ( is not closed; write \\( for the character", begin)
            self._at += 1
            return piece
        if one in "*+?{":
            raise BadPattern(f"there is nothing in front of {one} to repeat; write \\{one} for the character", begin)
        if one in "^$":
            raise BadPattern(f"{one} is at an end of the pattern alone, which is about the whole text anyway", begin)
        chars = ANY if one == "." else self._set() if one == "[" else self._escaped() if one == "\\" else single(one)
        return lambda end: self._state(chars, [end])

    def _escaped(self) -> Chars:
        one = self._peek()
        if one in CLASSES and one:
            self._at += 1
            return CLASSES[one]
        if one in CONTROLS and one:
            self._at += 1
            return single(CONTROLS[one])
        if not one or one.isalnum():
            raise BadPattern("after \\ comes d, w, s, D, W, S, n, t, r, f or a sign such as .", self._at - 1)
        self._at += 1
        return single(one)

    def _set(self) -> Chars:
        begin = self._at - 1
        inverted = self._peek() == "^"
        self._at += inverted
        singles: set[str] = set()
        ranges: list[tuple[str, str]] = []
        first = True
        while first or self._peek() != "]":
            first = False
            one = self._peek()
            if not one:
                raise BadPattern("this [ is not closed; write \\[ for the character", begin)
            self._at += 1
            if one == "\\":
                chars = self._escaped()
                if chars.inverted:
                    raise BadPattern("\\D, \\W and \\S are not had within [ ]", self._at - 2)
                singles |= chars.singles
                if len(chars.singles) > 1:
                    continue
                (one,) = chars.singles
            if self._peek() == "-" and self._text[self._at + 1 : self._at + 2] not in ("]", "", "\\"):
                high = self._text[self._at + 1]
                if high < one:
                    raise BadPattern(f"{one}-{high} has its ends the wrong way round", self._at - 1)
                ranges.append((one, high))
                self._at += 2
            else:
                singles.add(one)
        self._at += 1
        return Chars(frozenset(singles), tuple(ranges), inverted)

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]


def single(one: str) -> Chars:
    """The set of one character."""
    return Chars(frozenset(one))

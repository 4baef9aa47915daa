"""The kinds of options: what text each accepts, and the value that the text stands for."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.settings.source import Table


class Option:
    """One row of the table: a lazily parsed attribute of a `Table`.

    Args:
        name: the environment variable. In a file the key is the same name in lower case, `perfagent_` left out.
        default: the value when nothing is set.
        help: one sentence for `perfagent config` and the reference page.
        unit: what a number counts ("ms", "spans"); shown, never parsed.
        others: further accepted names, in order, after `name`.
    """

    accepts = "text"
    attribute = ""

    def __init__(self, name: str, default: object, help: str, unit: str = "", others: tuple[str, ...] = ()) -> None:  # noqa: A002
        self.name = name
        self.default = default
        self.help = help
        self.unit = unit
        self.names = (name, *others)

    def __set_name__(self, owner: type, attribute: str) -> None:
        if attribute in ("directory", "environ", "problems", "title"):  # a table's own: the option would never be read
            raise ValueError(f"{owner.__name__}.{attribute}: a table has something else of that name")
        self.attribute = attribute

    def parse(self, text: str) -> object:
        """The value that `text` stands for; raises ValueError where it stands for none."""
        return text

    def read(self, settings: Table) -> object:
        """The value in `settings`, looked up once."""
        value, _origin = settings.lookup(self)
        settings.__dict__[self.attribute] = value  # a non-data descriptor: from now on a plain attribute
        return value


class Text(Option):
    """A string, taken as it is."""

    def __get__(self, settings: Table, owner: type) -> str:
        return self.read(settings)  # type: ignore[return-value]


class Flag(Option):
    """A boolean: OpenTelemetry takes `true` alone, people write more."""

    accepts = "true or false"

    def parse(self, text: str) -> bool:
        """True, False, or ValueError."""
        word = text.strip().lower()
        if word in ("true", "1", "yes", "on"):
            return True
        if word in ("false", "0", "no", "off"):
            return False
        raise ValueError

    def __get__(self, settings: Table, owner: type) -> bool:
        return self.read(settings)  # type: ignore[return-value]


class Number(Option):
    """A decimal number within bounds, both included."""

    def __init__(
        self,
        name: str,
        default: float,
        help: str,  # noqa: A002
        unit: str = "",
        low: float = 0,
        high: float = 1e15,
        others: tuple[str, ...] = (),
    ) -> None:
        super().__init__(name, default, help, unit, others)
        self.low, self.high = low, high
        kind = "a whole number" if isinstance(self, Whole) else "a number"
        self.accepts = f"{kind} from {low:g} to {high:g}" if high < 1e15 else f"{kind} from {low:g}"

    def parse(self, text: str) -> float:
        """The number, or ValueError where it is none or out of bounds."""
        value = float(text)
        if not self.low <= value <= self.high:
            raise ValueError
        return value

    def __get__(self, settings: Table, owner: type) -> float:
        return self.read(settings)  # type: ignore[return-value]


class Whole(Number):
    """A whole number within bounds, both included."""

    def parse(self, text: str) -> int:
        """The number, or ValueError where it is none or out of bounds."""
        value = int(text)
        if not self.low <= value <= self.high:
            raise ValueError
        return value

    def __get__(self, settings: Table, owner: type) -> int:
        return self.read(settings)  # type: ignore[return-value]


class Choice(Option):
    """One word of a fixed list."""

    def __init__(
        self,
        name: str,
        default: str,
        help: str,  # noqa: A002
        choices: tuple[str, ...] = (),
        others: tuple[str, ...] = (),
    ) -> None:
        super().__init__(name, default, help, "", others)
        self.choices = choices
        self.accepts = "one of " + ", ".join(choices)

    def parse(self, text: str) -> str:
        """The word in lower case, or ValueError."""
        word = text.strip().lower()
        if word not in self.choices:
            raise ValueError
        return word

    def __get__(self, settings: Table, owner: type) -> str:
        return self.read(settings)  # type: ignore[return-value]


class Words(Option):
    """Words separated by commas."""

    accepts = "words separated by commas"

    def parse(self, text: str) -> tuple[str, ...]:
        """The words, stripped, empty ones left out."""
        return tuple(word.strip() for word in text.split(",") if word.strip())

    def __get__(self, settings: Table, owner: type) -> tuple[str, ...]:
        return self.read(settings)  # type: ignore[return-value]


class Pairs(Option):
    """`key=value` pairs separated by commas; values may be percent-encoded (W3C baggage form)."""

    accepts = "key=value pairs separated by commas"

    def parse(self, text: str) -> dict[str, str]:
        """The pairs, or ValueError where a part has no `=`."""
        pairs: dict[str, str] = {}
        for part in text.split(","):
            if not part.strip():
                continue
            key, equals, value = part.partition("=")
            if not equals or not key.strip():
                raise ValueError
            if "%" in value:
                from urllib.parse import unquote

                value = unquote(value)
            pairs[key.strip()] = value.strip()
        return pairs

    def __get__(self, settings: Table, owner: type) -> dict[str, str]:
        return self.read(settings)  # type: ignore[return-value]


class Json(Option):
    """A JSON object, kept as its text: who uses it knows what may be in it."""

    accepts = "a JSON object"

    def parse(self, text: str) -> str:
        """The text, or ValueError where it is no object."""
        import json

        if not isinstance(json.loads(text), dict):
            raise ValueError
        return text

    def __get__(self, settings: Table, owner: type) -> str:
        return self.read(settings)  # type: ignore[return-value]

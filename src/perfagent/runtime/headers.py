"""Which HTTP headers spans keep, of servers and clients alike, and which of their values are replaced."""

from __future__ import annotations

from perfagent.runtime.otlp import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from re import Pattern

    from perfagent.settings import Settings

    Header = tuple[bytes | str, bytes | str]

SECRET = frozenset(
    ("authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "x-auth-token", "x-csrf-token")
)
"""Headers whose values are replaced whatever the settings say."""
REDACTED = "[REDACTED]"
MOST_VALUES = 64  # of one header in one message


class HeaderNames(frozenset[str]):
    """Names of headers in lower case; one with a character that no name has is a regular expression for whole names."""

    pattern: Pattern[str] | None = None

    def __contains__(self, name: object) -> bool:
        if super().__contains__(name):
            return True
        return self.pattern is not None and self.pattern.fullmatch(str(name)) is not None


captured: dict[str, HeaderNames] = {
    "request": HeaderNames(),
    "response": HeaderNames(),
    "client.request": HeaderNames(),
    "client.response": HeaderNames(),
}
"""What server and client spans keep; an empty one is false, so a request that keeps nothing pays for one look-up."""
sanitized = HeaderNames()
"""Further headers whose values are replaced."""


def configure(settings: Settings) -> None:
    """Takes the names from the settings; an expression that is none is reported and left out."""
    global sanitized
    captured["request"] = _names(settings, settings.capture_request_headers)
    captured["response"] = _names(settings, settings.capture_response_headers)
    captured["client.request"] = _names(settings, settings.capture_client_request_headers)
    captured["client.response"] = _names(settings, settings.capture_client_response_headers)
    sanitized = _names(settings, settings.sanitize_headers)


def _names(settings: Settings, words: Iterable[str]) -> HeaderNames:
    names = [word.lower() for word in words]
    expressions = [name for name in names if not name.replace("-", "").replace("_", "").isalnum()]
    pattern = None
    if expressions:
        import re

        good = []
        for expression in expressions:
            try:
                re.compile(expression)
                good.append(f"(?:{expression})")
            except re.error as error:
                names.remove(expression)
                settings.report(
                    f"the header {expression!r} is not accepted: a name or a regular expression ({error}); "
                    "going on without it"
                )
        pattern = re.compile("|".join(good)) if good else None
    found = HeaderNames(names)
    found.pattern = pattern
    return found


def pairs(side: str, headers: Mapping[str, str] | None) -> list[Header] | None:
    """A copy of the headers that `side` keeps, for a span to hold; None where there are none.

    Args:
        side: a key of `captured`.
        headers: as a client library holds them.
    """
    wanted = captured[side]
    if not wanted or not headers:
        return None
    return [(name, value) for name, value in headers.items() if _text(name).lower() in wanted] or None


def encode(side: str, headers: Iterable[Header]) -> bytes:
    """The captured headers as attributes `http.request.header.NAME` or `http.response.header.NAME`, lists of values.

    Args:
        side: a key of `captured`.
        headers: names and values, as bytes in Latin-1 or as text.
    """
    wanted = captured[side]
    found: dict[str, list[str]] = {}
    for raw, value in headers:
        name = _text(raw).lower()
        if name in wanted:
            values = found.setdefault(name, [])
            if len(values) < MOST_VALUES:
                values.append(REDACTED if name in SECRET or name in sanitized else _text(value))
    prefix = f"http.{side.rpartition('.')[2]}.header."
    return wire.attributes(9, [(prefix + name, values) for name, values in found.items()])


def _text(value: bytes | str) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)

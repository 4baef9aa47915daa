"""Where in an HTML document the script's tag goes, found in its first part.

Behind `<meta>`, `<title>` and `<base>` at the head's begin, so that a `<meta charset>` stays within the first 1,024
bytes, where browsers look for it, and before the first script. What does not begin as a document is a fragment, such as
htmx asks for. A document whose head goes beyond the part is left alone, for a policy may still come in it.

Rules: WHATWG HTML, 13.2.5 "Tokenization". 25 us for a head of 10 tags.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

LONGEST = 262_144  # bytes that are looked at
PASSED = frozenset((b"meta", b"title", b"base"))
RAW = frozenset((b"script", b"style", b"title", b"noscript", b"template", b"noframes"))
"""Elements of a head that hold no tags of the document: passed over as a whole."""
HEAD = RAW | {b"meta", b"base", b"link", b"basefont", b"bgsound"}
"""What may be in a head: with anything else the body has begun."""

_TEXT = re.compile(rb"[\t\n\f\r ]*")
_NAME = re.compile(rb"<(/?[a-zA-Z][^\t\n\f\r />]*)")
_ATTRIBUTE = re.compile(rb"[\t\n\f\r /]*(?:>|([^\t\n\f\r />][^\t\n\f\r />=]*)([\t\n\f\r ]*=[\t\n\f\r ]*)?)")
_VALUE = re.compile(rb"\"([^\"]*)\"|'([^']*)'|([^\"'\t\n\f\r >][^\t\n\f\r >]*)")
_REST = rb"(?:[^\"'>=]*[^\"'>=\t\n\f\r /]=\"[^\"]*\")*[^\"'>=]*>"
_PLAIN = re.compile(_REST)
"""The rest of most tags, which one match passes over: without apostrophes, every value in quotes."""
_LINKS = re.compile(rb"(?:<(?i:link)(?=[\t\n\f\r />])" + _REST + rb"[\t\n\f\r ]*)+")
"""Links one after the other, of which most heads have some."""
_TOLD = {b"script": b"nonce", b"meta": b"http-equiv"}
"""The attribute that makes the others of an element worth reading."""
_ENDS = {name: re.compile(rb"</" + name + rb"(?=[\t\n\f\r />])", re.IGNORECASE) for name in RAW}
_COMMENT_END = re.compile(rb"--!?>")


@dataclass(slots=True)
class Place:
    """Where the tag goes, and what the head says of scripts.

    Args:
        at: how many bytes come before it.
        nonce: of the first script that has one; "" where none has.
        policies: Content Security Policies in `<meta>`.
    """

    at: int
    nonce: str = ""
    policies: list[str] = field(default_factory=list)


class Unfinished(Exception):  # noqa: N818
    """The part ends before it is known."""


def find(html: bytes) -> Place | None:
    """The place for the tag; None where the part is no document's begin.

    Args:
        html: the first part, in an encoding that ASCII is a part of.

    Raises:
        Unfinished: it is one, and the head goes on behind the part.
    """
    html = html[:LONGEST]
    at, named = 3 if html.startswith(b"\xef\xbb\xbf") else 0, False
    while True:
        at = _TEXT.match(html, at).end()  # type: ignore[union-attr]
        if html.startswith((b"<!", b"<?"), at):
            named = named or html[at : at + 9].lower() == b"<!doctype"
            at = _behind(html, at)
            continue
        name, behind = _tag(html, at)
        if name not in (b"html", b"head"):
            return _in_head(html, at) if named else None
        named, (at, _) = True, _attributes(html, behind)
        if name == b"head":
            return _in_head(html, at)


def _tag(html: bytes, at: int) -> tuple[bytes, int]:
    """Name and end of the name of the tag that begins here, "/" before the name of an end tag; "" where none does."""
    found = _NAME.match(html, at)
    if (found is None and at >= len(html) - 1) or (found is not None and found.end() == len(html)):
        raise Unfinished
    return (found[1].lower(), found.end()) if found is not None else (b"", at)


def _in_head(html: bytes, at: int) -> Place:
    """Goes through the head from its begin to its end."""
    place = Place(-1)
    while True:
        at = _TEXT.match(html, at).end()  # type: ignore[union-attr]
        if html.startswith((b"<!", b"<?"), at):
            at = _behind(html, at)
            continue
        links = _LINKS.match(html, at)
        if links is not None:
            place.at = at if place.at < 0 else place.at
            at = links.end()
            continue
        name, behind = _tag(html, at)
        if place.at < 0 and name not in PASSED:
            place.at = at
        if name not in HEAD:
            return place
        at, attributes = _passed(html, name, behind)
        if attributes:
            _note(place, name, attributes)
        if name in RAW:
            at = _end_of(html, name, at)


def _note(place: Place, name: bytes, attributes: dict[bytes, bytes]) -> None:
    if name == b"script" and not place.nonce:
        place.nonce = attributes.get(b"nonce", b"").decode("latin-1")
    if name == b"meta" and attributes.get(b"http-equiv", b"").lower() == b"content-security-policy":
        from html import unescape

        place.policies.append(unescape(attributes.get(b"content", b"").decode("latin-1")))


def _behind(html: bytes, at: int) -> int:
    """Behind a comment, a doctype or what browsers take for a comment."""
    if not html.startswith(b"<!--", at):
        end = html.find(b">", at)
        if end < 0:
            raise Unfinished
        return end + 1
    for short in (b"<!-->", b"<!--->"):
        if html.startswith(short, at):
            return at + len(short)
    found = _COMMENT_END.search(html, at + 4)
    if found is None:
        raise Unfinished
    return found.end()


def _passed(html: bytes, name: bytes, at: int) -> tuple[int, dict[bytes, bytes]]:
    """As `_attributes`, of an element's start tag; no attributes where none is of interest."""
    found, told = _PLAIN.match(html, at), _TOLD.get(name)
    if found is None or (told is not None and told in found[0].lower()):
        return _attributes(html, at)
    return found.end(), {}


def _attributes(html: bytes, at: int) -> tuple[int, dict[bytes, bytes]]:
    """What is behind a tag, and its attributes."""
    found: dict[bytes, bytes] = {}
    while True:
        attribute = _ATTRIBUTE.match(html, at)
        if attribute is None:
            raise Unfinished
        at = attribute.end()
        if attribute[1] is None:
            return at, found
        value = b""
        if attribute[2] is not None:
            given = _VALUE.match(html, at)
            if given is not None:
                value, at = given[1] or given[2] or given[3] or b"", given.end()
            elif html.startswith((b'"', b"'"), at):
                raise Unfinished  # its quote does not end here
        found.setdefault(attribute[1].lower(), value)


def _end_of(html: bytes, name: bytes, at: int) -> int:
    """Behind the end tag of an element whose content is text."""
    found = _ENDS[name].search(html, at)
    if found is None:
        raise Unfinished
    return _attributes(html, found.end())[0]

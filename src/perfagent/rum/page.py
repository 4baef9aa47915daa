"""Which answers are pages that may be changed, and what one becomes: its tag, its length, its validators.

A look at an answer that is no page takes 0.6 us, all that a page needs 50 us.
"""

from __future__ import annotations

import re
from functools import cache

from perfagent import rum, settings
from perfagent.rum.address import SCRIPT
from perfagent.rum.place import Unfinished, find
from perfagent.rum.policy import judge
from perfagent.runtime import guard, propagation, resource
from perfagent.runtime.metric import COUNTER, registry
from perfagent.runtime.span import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from perfagent.runtime.http import ServerSpan
    from perfagent.runtime.metric import Instrument

    Headers = list[tuple[bytes, bytes]]

NO_BODY = (204, 205, 206)
"""Statuses of success that come without a body, or with a part of one."""
SIGNED = frozenset((b"digest", b"content-digest", b"repr-digest", b"content-md5", b"signature"))
ASCII = re.compile(r"utf-?8|us-ascii|ascii|iso-?8859|latin|windows-|cp125|koi8|shift_?jis|euc-|gb|big5", re.IGNORECASE)
"""Begins of the charsets in which the tag's bytes are its text, and no byte of `<` is a part of another character."""
SERVICE = re.compile(r"[A-Za-z0-9_.\-/]{1,100}")
_ESCAPED = str.maketrans({"&": "&amp;", '"': "&quot;", "<": "&lt;", ">": "&gt;"})


class Page:
    """An HTML answer whose headers allow a change.

    Args:
        headers: its own, in its order.
        policies: its Content Security Policies.
        shared: whether caches may give it to others, who are no part of this request's trace.
        host: the Host header of the request.
        span: of the request.
    """

    __slots__ = ("headers", "host", "policies", "secure", "shared", "span")

    def __init__(self, headers: Headers, policies: list[str], shared: bool, host: str, span: ServerSpan) -> None:
        self.headers = headers
        self.policies = policies
        self.shared = shared
        self.host = host
        self.span = span
        self.secure = span.scheme == "https"

    def change(self, part: bytes) -> tuple[bytes, Headers] | None:
        """The first part of the body with the tag in it, and the headers that fit; None where it stays as it is.

        Args:
            part: the first part, which may be the whole.
        """
        address = rum.hub
        if address is None:
            return None
        try:
            place = find(part)
        except Unfinished:
            skip("split")
            return None
        if place is None:
            skip("fragment")
            return None
        nonce = judge((*self.policies, *place.policies), address, self.host, self.secure)
        if nonce is None:
            skip("policy")
            return None
        tag = self._tag(address.text, nonce or place.nonce)
        counts()[0].of({}).record(1)
        return part[: place.at] + tag + part[place.at :], list(_changed(self.headers, len(tag)))

    def _tag(self, address: str, nonce: str) -> bytes:
        span = self.span
        told = {"src": address + SCRIPT, "nonce": nonce, "data-page": span.route, "data-service": _service()}
        if span.flags & 1 and not self.shared:
            told["data-trace"] = propagation.traceparent(span)
        text = "".join(f' {name}="{value.translate(_ESCAPED)}"' for name, value in told.items() if value)
        return f"<script{text} crossorigin defer></script>".encode("ascii", "xmlcharrefreplace")


def look(status: int, headers: Headers, header: Callable[[str], str], span: ServerSpan) -> Page | None:
    """The page that an answer is; None where it is none, or where its headers forbid to change it, which is counted.

    Args:
        status: of the answer.
        headers: its own.
        header: looks up a header of the request by its name in lower case; "" where there is none.
        span: of the request.
    """
    found: dict[bytes, bytes] = {}
    policies: list[str] = []
    for name, value in headers:
        name = name.lower()
        found[name] = value
        if name in (b"content-security-policy", b"content-security-policy-report-only"):
            policies.append(value.decode("latin-1"))
    kind, _, parameters = found.get(b"content-type", b"").decode("latin-1").partition(";")
    if kind.strip().lower() != "text/html" or not 200 <= status < 300 or status in NO_BODY or span.method == "HEAD":
        return None
    if header("sec-fetch-dest") not in ("", "document"):
        return None  # a script's fetch, or a frame
    reason = _forbidden(found, parameters)
    host = header("host")
    if not reason and (rum.hub is None or not rum.hub.is_reached(host, header, span.scheme == "https")):
        reason = "remote"
    if reason:
        skip(reason)
        return None
    cached = found.get(b"cache-control", b"").lower()
    return Page(headers, policies, b"public" in cached or b"s-maxage" in cached, host, span)


def _forbidden(found: dict[bytes, bytes], parameters: str) -> str:
    """Why headers forbid a change; "" where they do not."""
    if found.get(b"content-encoding", b"identity").strip().lower() != b"identity":
        return "encoding"
    charset = re.search(r"charset\s*=\s*[\"']?([^\s;\"']*)", parameters, re.IGNORECASE)
    if charset is not None and not ASCII.match(charset[1]):
        return "charset"
    if b"no-transform" in found.get(b"cache-control", b"").lower():
        return "no-transform"
    if found.get(b"content-disposition", b"").strip().lower().startswith(b"attachment"):
        return "download"
    if not found.get(b"content-length", b"0").isdigit():
        return "length"
    return "" if SIGNED.isdisjoint(found) else "signed"


def _changed(headers: Headers, more: int) -> Iterable[tuple[bytes, bytes]]:
    """Headers of a body that got longer: a strong validator would promise bytes that differ from request to request,
    and a range of them would be of another body.
    """
    for name, value in headers:
        lower = name.lower()
        if lower == b"content-length":
            value = str(int(value) + more).encode()
        elif lower == b"etag" and not value.startswith(b"W/"):
            value = b"W/" + value
        if lower != b"accept-ranges":
            yield name, value


def _service() -> str:
    """The name under which the program's spans are, where the hub takes it for one of a browser."""
    told = settings.current()
    name = told.service_name or told.resource_attributes.get("service.name", "") or _program()
    return name if SERVICE.fullmatch(name) else ""


@cache
def _program() -> str:
    return resource.program_name()


def skip(reason: str) -> None:
    """Counts a page that stays as it is."""
    try:
        counts()[1].of({"reason": reason}).record(1)
    except Exception:
        guard.failed("rum")


_counts: list[Instrument] = []


def counts() -> list[Instrument]:
    """The counters of changed pages and of those that were left alone."""
    if not _counts:
        scope, namespace = Scope("perfagent.rum"), settings.current().namespace
        text = "Pages that got the script which measures them in the browser."
        _counts.append(registry.make(scope, COUNTER, f"{namespace}.rum.injected", "{page}", text))
        text = "Pages that were left as they are, by the reason."
        made = registry.make(scope, COUNTER, f"{namespace}.rum.skipped", "{page}", text, keys=("reason",))
        _counts.append(made)
    return _counts

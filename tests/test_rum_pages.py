"""Which answers get the script and where in them, without a browser: whatever is done, the rest of the answer stays."""

from __future__ import annotations

import asyncio
import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfagent import rum
from perfagent.instruments import asgi, wsgi
from perfagent.rum import page as pages
from perfagent.rum.address import Address
from perfagent.rum.place import LONGEST, Unfinished, find
from perfagent.rum.policy import judge
from perfagent.runtime.span import Scope
from tests.rum_documents import documents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

HUB = "http://127.0.0.1:4318"
SCOPE = Scope("test")
TAG = re.compile(rb'<script src="http://127\.0\.0\.1:4318/rum\.js"[^>]* crossorigin defer></script>')
asgi_call, wsgi_call = asgi._with_script(asgi._plain_call), wsgi._with_script(wsgi.call)


@pytest.fixture(scope="module", autouse=True)
def _hub() -> Iterator[None]:
    rum.use(HUB)
    yield
    rum.hub = None


def skipped() -> dict[str, float]:
    """How many pages were left alone, by the reason."""
    series = pages.counts()[1].series.values()
    return {str(dict(one.attributes)["reason"]): float(_total(one)) for one in series}


def _total(series: Any) -> float:
    series.fold()
    return float(series.value)


def by_asgi(
    parts: Iterable[bytes],
    headers: dict[str, str] | None = None,
    *,
    status: int = 200,
    method: str = "GET",
    asked: dict[str, str] | None = None,
    route: str = "",
) -> tuple[dict[str, str], bytes]:
    """The headers and the body that a server gets of an ASGI application."""
    told = {"content-type": "text/html; charset=utf-8", **(headers or {})}
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if route:
            asgi.route(route)
        raw = [(name.encode(), value.encode("latin-1")) for name, value in told.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def send(message: Any) -> None:
        sent.append(message)

    fields = {"host": "localhost:8000", **(asked or {})}
    scope = {
        "type": "http", "method": method, "path": "/", "scheme": "http", "client": ("127.0.0.1", 1),
        "headers": [(name.encode(), value.encode()) for name, value in fields.items()],
    }  # fmt: skip
    asyncio.run(asgi_call(SCOPE, app, scope, None, send))
    begin, *rest = sent
    assert begin["type"] == "http.response.start"
    assert len(rest) == len(list(parts)) + 1, "a part more or less"
    got = {name.decode(): value.decode("latin-1") for name, value in begin["headers"]}
    return got, b"".join(one["body"] for one in rest)


def by_wsgi(
    make: Callable[[list[bytes], Callable[..., Any]], Any], parts: list[bytes], headers: dict[str, str] | None = None
) -> tuple[dict[str, str], bytes]:
    """The same of a WSGI application, whose body is what `make` returns."""
    told = {"Content-Type": "text/html", **(headers or {})}
    begun: list[Any] = []
    written: list[bytes] = []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Callable[[bytes], None]:
        assert not begun
        begun.append(headers)
        return written.append

    def app(environ: Any, start: Any) -> Any:
        return make(parts, lambda: start("200 OK", list(told.items())))

    environ = {
        "REQUEST_METHOD": "GET", "PATH_INFO": "/", "SCRIPT_NAME": "", "wsgi.url_scheme": "http",
        "HTTP_HOST": "localhost",
    }  # fmt: skip
    body = wsgi_call(SCOPE, app, environ, start_response)
    for part in body:
        assert begun, "a part before the begin"
        written.append(part)
    if hasattr(body, "close"):
        body.close()
    return dict(begun[0]), b"".join(written)


def _listed(parts: list[bytes], start: Callable[[], Any]) -> Any:
    start()
    return list(parts)


def _tupled(parts: list[bytes], start: Callable[[], Any]) -> Any:
    start()
    return tuple(parts)


def _each(parts: list[bytes], start: Callable[[], Any]) -> Any:
    start()
    return iter(parts)


def _late(parts: list[bytes], start: Callable[[], Any]) -> Any:
    start()
    yield from parts


def _written(parts: list[bytes], start: Callable[[], Any]) -> Any:
    write = start()
    for part in parts:
        write(part)
    return []


PAGE = b"<!doctype html><html><head><title>t</title><link rel=x></head><body>b</body></html>"
split = st.lists(st.integers(0, 400), max_size=3)


def _cut(body: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({min(place, len(body)) for place in places} | {0, len(body)})
    return [body[begin:end] for begin, end in pairwise(ends)] or [b""]


@given(documents, split, st.booleans())
@settings(max_examples=300, deadline=None)
def test_whatever_is_split_wherever_only_the_tag_is_added_and_the_length_is_right(
    document: str, places: list[int], told: bool
) -> None:
    body = document.encode()
    parts = _cut(body, places)
    length = {"content-length": str(len(body))} if told else {}
    for headers, got in (
        by_asgi(parts, length),
        *(by_wsgi(make, parts, length) for make in (_listed, _tupled, _each, _late, _written)),
    ):
        tags = TAG.findall(got)
        assert len(tags) <= 1
        assert TAG.sub(b"", got) == body
        if told:
            assert int(headers["content-length"]) == len(got)
        if tags:
            assert got.index(tags[0]) <= len(parts[0]) or not parts[0]


@pytest.mark.parametrize("make", [_listed, _tupled, _each, _late])
def test_a_page_of_a_wsgi_program_gets_the_script_however_its_body_is_made(make: Any) -> None:
    assert TAG.search(by_wsgi(make, [PAGE[:-9], PAGE[-9:]])[1])


def test_a_body_that_is_written_stays() -> None:
    assert by_wsgi(_written, [PAGE])[1] == PAGE


def test_the_script_stands_behind_the_charset_and_before_other_scripts() -> None:
    html = b"<!doctype html><html><head><meta charset=latin1><title>a</title><script src=a></script></head>"
    place = find(html)
    assert place is not None
    assert html[place.at :].startswith(b"<script src=a")


@pytest.mark.parametrize(
    "html",
    [
        "<header><head></head></header>", "<p>hi</p>", "<!-- <html><head> --><p>x</p>", "hello <head>",
        "<template><head>", "<headless><head>", "<htmlx><head>", "&lt;html>",
    ],
)  # fmt: skip
def test_a_fragment_is_no_document(html: str) -> None:
    assert find(html.encode()) is None


@pytest.mark.parametrize(
    "html",
    [
        "<!doctype html><html><head><title>a", "<html><head><meta http-equiv='Content-Security-Policy", "<html><he",
        "<!-- ", "<html", "<html><head><script>", "<!doctype html><head><link a='>",
    ],
)  # fmt: skip
def test_a_head_that_goes_on_behind_the_part_is_left_alone(html: str) -> None:
    with pytest.raises(Unfinished):
        find(html.encode())
    assert by_asgi([html.encode(), b"</head>"])[1] == html.encode() + b"</head>"


def test_a_head_beyond_the_longest_is_left_alone_in_no_time() -> None:
    for piece in (b"<!--", b"<a b='", b'<link a="b" ', b"<title>", b"<script>", b"< ", b"<link " + b"a=b " * 99):
        html = b"<!doctype html><html><head>" + piece * (2 * LONGEST // len(piece))
        try:
            find(html)
        except Unfinished:
            pass


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"content-encoding": "gzip"}, "encoding"),
        ({"content-type": "text/html; charset=utf-16"}, "charset"),
        ({"content-type": 'text/html; charset="UTF-7"'}, "charset"),
        ({"content-type": "text/html; charset=iso-2022-jp"}, "charset"),
        ({"cache-control": "private, No-Transform"}, "no-transform"),
        ({"content-disposition": "Attachment; filename=a.html"}, "download"),
        ({"digest": "sha-256=x"}, "signed"),
        ({"content-length": "x"}, "length"),
        ({"content-security-policy": "default-src 'self'"}, "policy"),
        ({"content-security-policy-report-only": "script-src 'none'"}, "policy"),
    ],
)
def test_a_page_that_may_not_be_changed_is_counted_with_the_reason(headers: dict[str, str], reason: str) -> None:
    before = skipped().get(reason, 0)
    told, got = by_asgi([PAGE], headers)
    assert got == PAGE
    assert told == {"content-type": "text/html; charset=utf-8", **headers}
    assert skipped()[reason] == before + 1


@pytest.mark.parametrize(
    "more",
    [
        {"status": 404}, {"status": 206}, {"status": 500}, {"method": "HEAD"},
        {"headers": {"content-type": "text/event-stream"}}, {"headers": {"content-type": "application/xhtml+xml"}},
        {"asked": {"sec-fetch-dest": "empty"}}, {"asked": {"sec-fetch-dest": "iframe"}},
        {"asked": {"host": "shop.example"}},
        {"asked": {"host": "shop.localhost"}}, {"asked": {"host": "127.0.0.1.example"}},
        {"asked": {"x-forwarded-for": "10.0.0.9"}},
    ],
)  # fmt: skip
def test_what_is_no_page_of_this_browser_stays(more: dict[str, Any]) -> None:
    assert by_asgi([PAGE], **more)[1] == PAGE


def test_every_spelling_of_this_machine_is_this_browser_s() -> None:
    for host in ("localhost", "LOCALHOST:80", "127.0.0.1:8000", "[::1]:8000", "[::1]"):
        assert TAG.search(by_asgi([PAGE], asked={"host": host})[1]), host


def test_charsets_that_ascii_is_a_part_of_are_fine() -> None:
    for charset in ("ISO-8859-1", "windows-1252", "utf8", "Shift_JIS", "GB18030"):
        assert TAG.search(by_asgi([PAGE], {"content-type": f"Text/HTML;Charset={charset}"})[1]), charset


def test_the_validator_gets_weak_and_no_ranges_are_offered() -> None:
    told, _ = by_asgi([PAGE], {"etag": '"a"', "accept-ranges": "bytes", "last-modified": "x"})
    assert told["etag"] == 'W/"a"'
    assert "accept-ranges" not in told
    assert told["last-modified"] == "x"


def test_the_tag_tells_route_service_and_trace_and_no_text_gets_out_of_it() -> None:
    _, got = by_asgi([PAGE], route='/items/{a}"><script>alert(1)</script>')
    (tag,) = re.findall(rb"<script src=\"http://127[^>]*>", got)
    assert b'data-page="/items/{a}&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"' in tag
    assert re.search(rb'data-trace="00-[0-9a-f]{32}-[0-9a-f]{16}-01"', tag)


def test_what_caches_give_to_others_and_what_is_not_sampled_bears_no_trace() -> None:
    assert b"data-trace" not in by_asgi([PAGE], {"cache-control": "public, max-age=60"})[1]
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0"
    assert b"data-trace" not in by_asgi([PAGE], asked={"traceparent": parent + "0"})[1]
    assert b"4bf92f3577b34da6a3ce929d0e0e4736" in by_asgi([PAGE], asked={"traceparent": parent + "1"})[1]


@pytest.mark.parametrize(
    ("policy", "nonce"),
    [
        ("", ""),
        ("img-src 'none'", ""),
        ("default-src *", ""),
        ("default-src http:", ""),
        ("default-src 'self'", None),
        ("default-src 'none'", None),
        ("script-src 'nonce-abc='", "abc="),
        ("script-src 'nonce-abc' 'strict-dynamic' https:; connect-src http://127.0.0.1:4318", "abc"),
        ("script-src 'nonce-abc'; connect-src 'self'", None),
        ("default-src 'nonce-abc'", None),  # connect-src falls back to it, and knows no nonces
        ("script-src http://127.0.0.1:4318", ""),
        ("script-src http://127.0.0.1:4318/other/", None),
        ("script-src http://127.0.0.1:4318/rum.js; connect-src http://127.0.0.1:4318/v1/", ""),
        ("script-src 127.0.0.1:*", ""),
        ("script-src 127.0.0.1", None),
        ("script-src https://127.0.0.1:4318", None),
        ("script-src *.0.0.1:4318", ""),
        ("script-src 'strict-dynamic' *", None),
        ("script-src-elem 'none'; script-src *", None),
        ("SCRIPT-SRC 'NONE'; script-src *", None),
        ("script-src 'nonce-a' 'nonce-b', script-src 'nonce-b'", "b"),
        ("script-src 'nonce-a', script-src 'nonce-b'", None),
        ("sandbox allow-scripts", None),
        ("sandbox allow-scripts allow-same-origin", ""),
        ("script-src 'nonce-\"><script>'", None),
    ],
)
def test_a_policy_is_kept(policy: str, nonce: str | None) -> None:
    assert judge([policy], Address(HUB), "localhost:8000", False) == nonce


def test_a_path_of_the_page_s_own_site_is_itself() -> None:
    for own in (Address("/perfagent"), Address("https://shop.test/perfagent")):
        assert judge(["default-src 'self'"], own, "shop.test", True) == ""
        assert judge(["default-src https://shop.test/perfagent/"], own, "shop.test", True) == ""
        assert judge(["default-src 'none'"], own, "shop.test", True) is None
    assert judge(["default-src 'self'"], Address("https://shop.test:444"), "shop.test", True) is None


def test_a_page_over_tls_loads_nothing_over_plain_http_but_from_this_machine() -> None:
    def header(name: str) -> str:
        return ""

    assert Address(HUB).is_reached("localhost", header, True)
    assert Address("https://hub.example").is_reached("shop.example", header, True)
    assert Address("http://hub.example").is_reached("shop.example", header, False)
    assert not Address("http://hub.example").is_reached("shop.example", header, True)


def test_a_policy_in_the_page_counts_and_a_nonce_in_it_serves() -> None:
    page = b'<html><head><meta http-equiv=content-security-policy content="script-src &#39;self&#39;"><link></head>'
    assert by_asgi([page])[1] == page
    page = b"<html><head><link rel=a><script nonce='n0'>1</script></head>"
    assert b'nonce="n0"' in by_asgi([page])[1].partition(b"<link")[0]


@pytest.mark.parametrize(
    "text", ["", "hub", "ftp://a", "http://", "http://a b", 'http://a"', "http://a:x", "//a", "http://u@a"]
)
def test_an_address_that_is_none_is_refused_with_what_is_accepted(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(text)) + ".*such as http://127.0.0.1:4318"):
        Address(text)

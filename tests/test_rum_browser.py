"""Real programs measured in a real Chromium, from the page to the hub; and what the agent changes in their answers."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from perfagent.rum.place import Unfinished, find
from tests.apps.rum_pages import ANSWERS, CHANGED
from tests.browser import VIOLATIONS
from tests.hub import ServedHub
from tests.program import Program, find_free_port
from tests.rum_documents import documents
from tests.web import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, BrowserContext, Page


pytestmark = pytest.mark.slow

SERVERS = {
    "asgi": ("uvicorn", "tests.apps.rum_asgi:app", "--port", "PORT"),
    "wsgi": ("gunicorn", "tests.apps.rum_wsgi:app", "-b", "127.0.0.1:PORT", "--threads", "4", "--no-control-socket"),
}
ROUTES = {"asgi": "/items/{number}", "wsgi": "/items/<int:number>"}
VITALS = {"lcp", "inp", "cls", "fcp", "ttfb"}
PAINTED = """new Promise((done) =>
    new PerformanceObserver(() => done()).observe({ type: 'largest-contentful-paint', buffered: true }))"""
TAG = re.compile(rb'<script src="[^"]*/rum\.js"[^>]*></script>')


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHub]:
    with ServedHub(tmp_path_factory.mktemp("hub")) as hub:
        yield hub


class Site:
    """A program under the agent, or bare.

    Args:
        kind: asgi or wsgi.
        directory: of its output.
        env: its settings; None for a program without the agent.
    """

    def __init__(self, kind: str, directory: Path, env: dict[str, str] | None) -> None:
        self.kind, self.port = kind, find_free_port()
        command = tuple(word.replace("PORT", str(self.port)) for word in SERVERS[kind])
        run = () if env is None else ("perfagent", "run")
        self.program = Program((*run, *command), directory, {"HOME": str(directory), **(env or {})}, cwd=ROOT)
        self.program.wait_for_port(self.port)
        self.url = f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers without those of the moment, and the raw body."""
        import http.client

        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, headers={name.replace("_", "-"): text for name, text in headers.items()})
            response = connection.getresponse()
            told = {
                name.lower(): text for name, text in response.getheaders() if name.lower() not in ("date", "server")
            }
            return response.status, told, response.read()
        finally:
            connection.close()


@pytest.fixture(scope="module", params=["asgi", "wsgi"])
def site(request: pytest.FixtureRequest, hub: ServedHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A program whose pages are measured."""
    env = {
        "PERFAGENT_RUM": "true", "PERFAGENT_RUM_URL": hub.url, "OTEL_EXPORTER_OTLP_ENDPOINT": hub.url,
        "OTEL_SERVICE_NAME": request.param, "OTEL_BSP_SCHEDULE_DELAY": "100", "PERFAGENT_STRICT": "true",
    }  # fmt: skip
    site = Site(request.param, tmp_path_factory.mktemp(request.param), env)
    yield site
    site.program.stop()
    assert "perfagent:" not in site.program.stderr


@pytest.fixture(scope="module")
def bare(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The same program without the agent."""
    bare = Site(site.kind, tmp_path_factory.mktemp("bare"), None)
    yield bare
    bare.program.stop()


@pytest.fixture(scope="module")
def off(site: Site, hub: ServedHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The same program under the agent, its pages not measured."""
    off = Site(site.kind, tmp_path_factory.mktemp("off"), {"OTEL_EXPORTER_OTLP_ENDPOINT": hub.url})
    yield off
    off.program.stop()


class Tab:
    """A page in a browser of its own, and what goes wrong in it."""

    def __init__(self, browser: Browser) -> None:
        self.context: BrowserContext = browser.new_context()
        self.context.add_init_script(VIOLATIONS)
        self.page: Page = self.context.new_page()
        self.problems: list[str] = []
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.page.on("console", lambda told: self.problems.append(f"{told.type}: {told.text}"))
        self.page.on("pageerror", lambda error: self.problems.append(f"exception: {error}"))
        self.page.on("requestfailed", lambda asked: self.problems.append(f"failed: {asked.url} {asked.failure}"))
        self.page.on("request", lambda asked: self.asked.append((f"{asked.method} {asked.url}", asked.all_headers())))

    def close(self) -> list[str]:
        """Closes the tab, as a visitor does; returns what went wrong."""
        violations = self.page.evaluate("window.violations")
        self.page.close()
        self.context.close()
        return self.problems + violations


def until(found: Callable[[], Any]) -> Any:
    """What `found` returns, as soon as that is something."""
    deadline = time.monotonic() + 60
    while not (answer := found()):
        assert time.monotonic() < deadline, "it did not come within a minute"
        time.sleep(0.1)
    return answer


def page_of(hub: ServedHub, service: str, page: str, complete: Callable[[Any], bool] = bool) -> Any:
    """What the hub tells of a page, as soon as it is complete."""

    def ask() -> Any:
        items = hub.get("browsers", service=service, from_="-10m", limit=200)["items"]
        return next((one for one in items if one["page"] == page and complete(one)), None)

    return until(ask)


def test_a_visit_is_measured_and_told_with_its_route_and_its_trace(
    browser: Browser, hub: ServedHub, site: Site
) -> None:
    tab = Tab(browser)
    tab.context.add_cookies([{"name": "session", "value": "secret", "url": site.url}])
    tab.page.goto(f"{site.url}/items/7?token=secret")
    tab.page.evaluate(PAINTED)  # a page that is clicked before anything is to be seen has no LCP
    tab.page.click("#work")
    tab.page.click("#upload")
    tab.page.wait_for_selector("body[data-uploaded='300000']")
    tab.page.click("#fail")
    tab.page.wait_for_timeout(1500)  # the visitor looks at it, and a second of frames passes
    assert tab.close() == ["exception: the secret of anna@example.com"]
    route = ROUTES[site.kind]
    found = page_of(hub, site.kind, route, lambda one: one["loads"] and all(one["vitals"].values()))
    assert {name for name, vital in found["vitals"].items() if vital["rating"]} == VITALS
    assert found["vitals"]["inp"]["p75"] > 50  # 120 ms of work, and a bucket of the histogram
    assert found["load_p75_ms"] > 0
    assert found["frame_p95_ms"] > 1
    assert found["long_tasks"] >= 1
    assert found["upload_bytes_per_second"] > 1000
    assert found["errors"] == 1
    assert list(found["error_sources"]) == ["/items/{id}"]
    (load,) = until(lambda: hub.get("browsers/loads", service=site.kind, page=route)["items"])
    assert set(load["values"]) == VITALS | {"page_load"}
    trace = until(lambda: _trace(hub, load["trace_id"]))
    assert (trace["service"], trace["name"]) == (site.kind, f"GET {route}")
    assert hub.get("browsers/loads", trace_id=load["trace_id"])["items"] == [load]
    to_hub = [(what, headers) for what, headers in tab.asked if hub.url in what]
    assert len(to_hub) >= 1
    assert not any("secret" in str(one) for one in to_hub)
    assert not any("cookie" in headers for _, headers in to_hub)


def _trace(hub: ServedHub, trace_id: str) -> Any:
    answer = hub.ask(f"traces/{trace_id}")
    return answer.json()["data"] if answer.status_code == 200 else None


@pytest.mark.parametrize("path", ["/nonce", "/upgrade"])
def test_a_page_with_a_policy_that_lets_it_is_measured_and_the_policy_kept(
    browser: Browser, hub: ServedHub, site: Site, path: str
) -> None:
    tab = Tab(browser)
    tab.page.goto(f"{site.url}{path}")
    tab.page.click("#work")
    tab.page.wait_for_timeout(500)
    assert tab.page.evaluate("typeof perfagentRum") == "object"
    assert tab.page.evaluate("typeof webVitals") == "undefined", "a name of the page's own"
    assert tab.close() == []
    assert page_of(hub, site.kind, path)["vitals"]["fcp"]


def test_a_page_whose_policy_forbids_it_stays_and_its_console_too(browser: Browser, bare: Site, site: Site) -> None:
    tab = Tab(browser)
    tab.page.goto(f"{site.url}/forbids")
    tab.page.click("#work")
    assert tab.page.evaluate("typeof perfagentRum") == "undefined"
    assert tab.close() == []
    assert site.ask("/forbids") == bare.ask("/forbids")


def test_a_page_that_caches_share_bears_no_trace(browser: Browser, hub: ServedHub, site: Site) -> None:
    tab = Tab(browser)
    tab.page.goto(f"{site.url}/shared")
    assert tab.page.evaluate("document.querySelector('script[src$=\"rum.js\"]').dataset.trace") is None
    assert tab.close() == []
    assert page_of(hub, site.kind, "/shared")
    assert hub.get("browsers/loads", service=site.kind, page="/shared")["items"] == []


def test_a_visit_from_the_browser_s_cache_is_not_of_the_trace_before(
    browser: Browser, hub: ServedHub, site: Site
) -> None:
    tab = Tab(browser)
    for _ in range(3):
        tab.page.goto(f"{site.url}/cached")
        tab.page.wait_for_function("performance.getEntriesByType('navigation')[0].loadEventEnd > 0")
        tab.page.wait_for_timeout(200)
        tab.page.goto("about:blank")
    assert tab.page.evaluate("1") == 1
    assert tab.close() == []
    page_of(hub, site.kind, "/cached", lambda one: one["loads"] == 3)
    (load,) = hub.get("browsers/loads", service=site.kind, page="/cached")["items"]
    assert load["values"]["page_load"] > 0


def test_a_hub_that_is_away_is_told_of_once_in_the_console(browser: Browser, hub: ServedHub, site: Site) -> None:
    tab = Tab(browser)
    tab.page.route(f"{hub.url}/v1/client", lambda route: route.abort())
    tab.page.goto(f"{site.url}/items/8")
    tab.page.wait_for_function("window.perfagentRum")
    for _ in range(3):
        tab.page.evaluate("perfagentRum.record('page_load', 1); perfagentRum.flush()")
        tab.page.wait_for_timeout(200)
    problems = [one for one in tab.close() if one.startswith("failed")]
    assert len(problems) == 1


ASKED = [*sorted(ANSWERS), "/items/7", "/parts", "/split", "/events"]


@pytest.mark.parametrize("path", ASKED)
def test_what_is_no_whole_page_is_byte_for_byte_what_the_bare_program_answers(
    bare: Site, site: Site, path: str
) -> None:
    changed = any(path.startswith(one) for one in CHANGED)
    status, headers, body = site.ask(path)
    expected = bare.ask(path)
    assert len(TAG.findall(body)) == changed
    if changed:
        assert TAG.sub(b"", body) == expected[2]
        assert headers.get("content-length") in (None, str(len(body)))
    else:
        assert (status, headers, body) == expected
    assert site.ask(path, "HEAD")[::2] == bare.ask(path, "HEAD")[::2]
    assert site.ask(path, Sec_Fetch_Dest="empty") == bare.ask(path, Sec_Fetch_Dest="empty")


@pytest.mark.parametrize("path", ASKED)
def test_every_answer_is_the_bare_program_s_while_it_is_off(bare: Site, off: Site, path: str) -> None:
    assert off.ask(path) == bare.ask(path)


def test_a_compressed_page_stays(bare: Site, site: Site) -> None:
    path = "/packed/" if site.kind == "asgi" else "/gzip"  # Flask compresses nothing by itself
    status, headers, body = site.ask(path, Accept_Encoding="gzip")
    assert headers["content-encoding"] == "gzip"
    assert (status, headers, body) == bare.ask(path, Accept_Encoding="gzip")
    if site.kind == "asgi":
        assert TAG.search(site.ask(path)[2]), "not compressed, it is a page like others"


def test_a_file_is_sent_as_the_server_sends_files(bare: Site, site: Site, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_bytes(ANSWERS["/items"][2] + b"x" * 300_000)
    path = f"/file?path={file}"
    (_, headers, body), expected = site.ask(path), bare.ask(path)
    if site.kind == "wsgi":  # wsgi.file_wrapper
        assert body == expected[2]
        return
    assert TAG.sub(b"", body) == expected[2] != body
    assert int(headers["content-length"]) == len(body)
    validator = {"If_None_Match": headers["etag"]}
    assert headers["etag"].startswith("W/")
    assert site.ask(path, Range="bytes=0-9")[2] == bare.ask(path, Range="bytes=0-9")[2] == body[:10]
    assert site.ask(path, **validator)[0] == bare.ask(path, **validator)[0]


def test_a_browser_sees_one_script_more_in_the_head_and_else_the_same_document(browser: Browser) -> None:
    """Chromium parses what Hypothesis writes, as it is and with the tag in it."""
    found: list[tuple[str, str]] = []

    @seed(7)
    @given(documents)
    @settings(
        max_examples=1500, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def write(document: str) -> None:
        body = document.encode()
        try:
            place = find(body)
        except Unfinished:
            return
        if place is not None:
            tag = b'<script src="/rum.js" defer></script>'
            changed = (body[: place.at] + tag + body[place.at :]).decode()
            found.append((document.lstrip("\ufeff"), changed.lstrip("\ufeff")))  # a decoder's, not a parser's

    write()
    assert len(found) > 500
    page = browser.new_page()
    wrong = page.evaluate(
        """(all) => all.filter(([bare, changed]) => {
            const [one, other] = [bare, changed].map((text) => new DOMParser().parseFromString(text, 'text/html'));
            const tags = other.querySelectorAll('script[src="/rum.js"]');
            const inHead = tags.length === 1 && tags[0].parentNode === other.head;
            tags.forEach((tag) => tag.remove());
            one.normalize();
            other.normalize();
            return !inHead || one.compatMode !== other.compatMode
                || one.documentElement.outerHTML !== other.documentElement.outerHTML;
        })""",
        found,
    )
    page.close()
    assert wrong == []

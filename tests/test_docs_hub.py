"""What the documentation of the hub shows works as it stands there."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.browser import browser as browser
from tests.collector import Collector
from tests.hub import ServedHub
from tests.program import clean_environment
from tests.receiving import Receiving
from tests.test_docs import blocks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.hubs import Home

pytest_plugins = ["tests.hubs"]

PAGE = "docs/how-to/send-from-anywhere.md"
VITALS = ("CLS", "FCP", "INP", "LCP", "TTFB")
LIBRARY = "\n".join(
    f"export const on{name} = (tell) => tell({{name: '{name}', value: 0.5, rating: 'good', navigationType: 'reload'}});"
    for name in VITALS
)
"""What stands for the library web-vitals: its functions, which tell at once."""


@contextmanager
def served(content: str) -> Iterator[str]:
    """The address of a server that answers everything with one HTML page."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(f"<!doctype html><link rel=icon href=data:,>{content}".encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()


def shell(block: str, env: dict[str, str], directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-euc", block], env=env, cwd=directory, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.slow
def test_what_the_pages_type_in_a_shell_works_and_the_python_program_arrives(home: Home, tmp_path: Path) -> None:
    env = clean_environment(home.env(PERFAGENT_HUB_OPEN="never"))
    shown = [shell(block, env, tmp_path) for block in blocks(PAGE, "sh")]
    shown += [shell(block, env, tmp_path) for block in blocks("docs/reference/rest.md", "sh")]
    assert [(done.returncode, done.stderr) for done in shown] == [(0, "")] * 3, (shown, home.log)
    assert "nightly backup" in shown[1].stdout
    assert '"backup"' in shown[2].stdout

    (program,) = blocks(PAGE, "python")
    sent = {"OTEL_EXPORTER_OTLP_ENDPOINT": home.hub.address, "OTEL_SERVICE_NAME": "billing"}
    done = subprocess.run([sys.executable, "-c", program], env=env | sent, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "written\n", "")
    assert [one["name"] for one in home.get("traces?service=billing")["items"]] == ["write invoices"]


@pytest.mark.slow
def test_the_collectors_configuration_sends_all_signals(tmp_path: Path) -> None:
    (block,) = blocks(PAGE, "yaml")
    shown: dict[str, Any] = yaml.safe_load(block)
    assert set(shown["service"]["pipelines"]) == {"traces", "metrics", "logs"}
    with Receiving(tmp_path / "hub") as hub:
        (exporter,) = shown["exporters"].values()
        exporter["endpoint"] = hub.url
        with Collector(tmp_path, shown["exporters"]) as collector:
            now = time.time_ns()
            span = {"traceId": "5b" * 16, "spanId": "ee" * 8, "name": "work"}
            span |= {"startTimeUnixNano": str(now), "endTimeUnixNano": str(now + 1)}
            sent = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
            assert hub.client.post(f"{collector.url}/v1/traces", json=sent).status_code == 200
            collector.program.wait_until(lambda: bool(hub.spans), "the hub did not receive it")
    assert hub.spans[0].name == "work"


@pytest.mark.slow
def test_the_web_vitals_of_a_page_arrive(browser: Browser, tmp_path: Path) -> None:
    (snippet,) = blocks(PAGE, "html")
    with ServedHub(tmp_path / "hub") as hub, served(snippet.replace("http://127.0.0.1:4318", hub.url)) as address:
        page = browser.new_page()
        problems: list[str] = []
        page.on("console", lambda told: problems.append(told.text) if told.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        scripts = {"content_type": "text/javascript", "headers": {"Access-Control-Allow-Origin": "*"}}
        page.route("https://unpkg.com/**", lambda route: route.fulfill(body=LIBRARY, **scripts))
        page.goto(f"{address}/checkout/17?user=anna")
        wanted = {f"browser.web_vital.{name.lower()}" for name in VITALS}
        for _ in range(50):
            if wanted == {one["name"] for one in hub.get("metrics", service="shop")["items"]}:
                break
            page.wait_for_timeout(100)
        else:
            pytest.fail(f"not all vitals arrived; the page says {problems}")
        told = hub.get("metrics/query", name="browser.web_vital.lcp", stat="count", by="page")
        assert [one["attributes"] for one in told["series"]] == [{"page": "/checkout/{id}"}]
        page.close()
        assert problems == []

"""What docs/how-to/browsers.md shows works as it stands there, for somebody who has nothing but the page."""

from __future__ import annotations

import json
import re
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.program import Program, clean_environment, find_free_port
from tests.servers import find
from tests.test_docs import ROOT, blocks
from tests.test_docs_hub import served

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.hub import ServeHub
    from tests.hubs import Home

pytestmark = pytest.mark.slow

PAGE = "docs/how-to/browsers.md"
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@pytest.fixture
def nginx() -> str:
    """The program."""
    return find("nginx", "apt-get install nginx-light")


def until(found: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 60
    while not (answer := found()):
        assert time.monotonic() < deadline, "it did not come within 30 s"
        time.sleep(0.1)
    return answer


def test_the_page_is_all_that_one_needs(home: Home, tmp_path: Path, browser: Browser) -> None:
    (program,) = blocks(PAGE, "python")
    start, post = blocks(PAGE, "sh")
    port = find_free_port()
    (tmp_path / "app.py").write_text(program)
    env = home.env(PERFAGENT_HUB_OPEN="never", HOME=str(tmp_path))
    del env["OTEL_SERVICE_NAME"]
    server = Program(("bash", "-ec", start.replace("8000", str(port))), tmp_path, env)
    try:
        server.wait_for_port(port)
        page = browser.new_page()
        problems: list[str] = []
        page.on("console", lambda told: problems.append(told.text))
        until(lambda: home.found)
        page.goto(f"http://127.0.0.1:{port}/items/7")
        page.click("h1")
        page.wait_for_timeout(300)
        page.close()
        assert [one for one in problems if "404" not in one] == []  # the program has no icon
        found = until(lambda: _vitals(home, "/items/<int:number>"))
        assert {"lcp", "inp", "cls", "fcp", "ttfb"} <= set(found)
    finally:
        server.stop()
    own, record = blocks(PAGE, "html")
    with served(own.replace("http://127.0.0.1:4318", home.hub.address) + record) as address:
        page = browser.new_page()
        page.goto(f"{address}/items/8?token=1")
        page.wait_for_function("window.perfagentRum")
        page.wait_for_timeout(200)
        page.close()
    assert until(lambda: (_row(home, "/items/{id}") or {}).get("upload_bytes_per_second"))
    done = subprocess.run(
        ["bash", "-euc", post.replace("http://127.0.0.1:4318", home.hub.address)],
        env=clean_environment(env), cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert json.loads(done.stdout) == {"status": "success", "data": {"accepted": 2}}
    assert until(lambda: _row(home, "/checkout"))["loads"] == 1


def _row(home: Home, page: str) -> Any:
    return next((one for one in home.get("browsers")["items"] if one["page"] == page), None)


def _vitals(home: Home, page: str) -> Any:
    row = _row(home, page)
    return row and all(row["vitals"].values()) and row["vitals"]


def test_a_proxy_hands_a_path_to_the_hub_as_the_page_says(
    tmp_path: Path, browser: Browser, serve_hub: ServeHub, nginx: str
) -> None:
    hub = serve_hub(PERFAGENT_HUB_ALLOWED_HOSTS="shop.localhost")
    (program,) = blocks(PAGE, "python")
    (tmp_path / "app.py").write_text(program)
    text = (ROOT / PAGE).read_text()
    locations = "".join(re.findall(r"^    location = .*\n", text, re.MULTILINE))
    assert locations.count("proxy_pass") == 2
    port, front = find_free_port(), find_free_port()
    made = tmp_path / "made"
    made.mkdir()
    made.chmod(0o777)
    folders = "".join(f"{kind}_temp_path {made}/{kind};" for kind in TEMPORARY)
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; pid {made}/pid; error_log stderr; events {{}} http {{ access_log off; {folders} server {{"
        f" listen 127.0.0.1:{front};\n{locations.replace('http://127.0.0.1:4318', hub.url)}"
        f" location / {{ proxy_pass http://127.0.0.1:{port}; proxy_set_header Host $http_host; }} }} }}"
    )
    env = {
        "PERFAGENT_RUM": "true", "PERFAGENT_RUM_URL": "/perfagent", "OTEL_EXPORTER_OTLP_ENDPOINT": hub.url,
        "OTEL_SERVICE_NAME": "shop", "HOME": str(tmp_path), "PERFAGENT_STRICT": "true",
    }  # fmt: skip
    (tmp_path / "proxy").mkdir()
    run = ("perfagent", "run", "flask", "--app", "app", "run", "--port", str(port))
    server = Program(run, tmp_path, env)
    proxy = Program((nginx, "-c", str(tmp_path / "nginx.conf"), "-p", str(made)), tmp_path / "proxy")
    try:
        server.wait_for_port(port)
        proxy.wait_for_port(front)
        page = browser.new_page()
        problems: list[str] = []
        page.on("console", lambda told: problems.append(told.text))
        page.goto(f"http://shop.localhost:{front}/items/7")
        page.wait_for_function("window.perfagentRum")
        page.click("h1")
        page.wait_for_timeout(200)
        page.close()
        assert [one for one in problems if "404" not in one] == []
        found = until(lambda: hub.get("browsers")["items"])
        assert [(one["service"], one["page"]) for one in found] == [("shop", "/items/<int:number>")]
    finally:
        server.stop()
        proxy.stop()

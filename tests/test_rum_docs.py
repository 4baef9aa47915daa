"""What docs/how-to/browsers.md shows works as it stands there, for somebody who has nothing but the page."""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.program import Program, clean_environment, find_free_port
from tests.test_docs import blocks
from tests.test_docs_hub import served

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.hubs import Home

pytestmark = pytest.mark.slow

PAGE = "docs/how-to/browsers.md"


def until(found: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 30
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

"""How fast a hub answers with a day of a million spans in it: `python -m benchmarks.answers`.

A store is filled with `benchmarks.day`, a real hub is started on it, and every address of its interface is asked
several times in turns; then a browser opens the page for the whole day, where Chromium is installed.
"""

from __future__ import annotations

import argparse
import http.client
import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from perfagent.hub.access import Access, secret
from perfagent.hub.store.store import Store

from . import day_of_profiles, hubs
from .day import Day

API_BUDGET = 200  # ms, each answer
PAGE_BUDGET = 1000  # ms, the overview of 24 h
ROUNDS = 7
PREFIX = "/api/v1/performance"
METRICS = (
    {"name": "process.memory.usage", "stat": "avg", "by": "service.instance.id"},
    {"name": "perfagent.eventloop.lag", "stat": "p99"},
)
COMPARED = (
    {"before": "-2h..-1h", "after": "-1h..now"},
    {"before": "-24h..-12h", "after": "-12h..now"},
)
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def main() -> int:
    """Fills, asks and prints; returns 1 where a budget is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.answers", description=__doc__)
    parser.add_argument("--spans", type=int, default=1_000_000)
    parser.add_argument("--directory", type=Path, help="keep the filled store there, or use the one that is there")
    wanted = parser.parse_args()
    directory = wanted.directory or Path(tempfile.mkdtemp(prefix="hub-"))
    try:
        if not (directory / "hub.duckdb").exists():
            fill(directory, wanted.spans)
        with hubs.running(directory) as address:
            missed = _ask(address, directory)
            missed += _open(address, directory)
    finally:
        if wanted.directory is None:
            shutil.rmtree(directory, ignore_errors=True)
    print(f"{missed} budgets missed" if missed else "every budget kept")
    return 1 if missed else 0


def fill(directory: Path, spans: int) -> Day:
    """A store in `directory` with a day that ends now."""
    directory.mkdir(parents=True, exist_ok=True)
    day = Day(spans, time.time_ns())
    started = time.perf_counter()
    store = Store.open(directory, 512)
    for batch in day.batches():
        store.append([batch])
        print(f"\rfilling: {day.made:,} of about {spans:,} spans", end="", file=sys.stderr, flush=True)
    rows = day_of_profiles.fill({one.id: one for one in day.shops}, store)
    store.close()
    size = (directory / "hub.duckdb").stat().st_size
    print(file=sys.stderr)
    print(f"{day.made:,} spans of {day.requests:,} requests: {size / 1e6:.0f} MB, {size / day.made:.0f} bytes a span,")
    print(f"with {rows:,} rows of profiles")
    print(f"made and stored in {time.perf_counter() - started:.0f} s")
    return day


def _get(address: str, path: str, token: str) -> tuple[int, Any, float]:
    """Status, body and milliseconds."""
    target = urlsplit(address)
    connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=60)
    started = time.perf_counter()
    connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
    response = connection.getresponse()
    body = response.read()
    took = (time.perf_counter() - started) * 1000
    connection.close()
    return response.status, json.loads(body) if body[:1] in (b"{", b"[") else body, took


def _paths(address: str, token: str) -> list[str]:
    """Every address worth a reading, with real identities in it."""

    def first(path: str, key: str) -> str:
        status, body, _took = _get(address, f"{PREFIX}/{path}", token)
        if status != 200 or not body["data"]["items"]:
            raise SystemExit(f"{path} answered {status}: {str(body)[:500]}")
        return str(body["data"]["items"][0][key])

    day = {"from": "-24h"}
    whole = f"?{urlencode(day)}"
    endpoint = first(f"endpoints{whole}", "operation")
    query = first(f"queries{whole}", "operation")
    trace = first(f"traces{whole}", "trace_id")
    instance = first(f"processes{whole}", "instance")
    searches = (
        {"sort": "slowest"},
        {"status": "error"},
        {"min_ms": "500"},
        {"attribute": "url.path=/products/42"},
        {"q": "checkout"},
    )
    return [
        *(f"{name}{whole}" for name in ("services", "overview", "endpoints", "traces", "queries", "caches")),
        f"endpoints/{endpoint}{whole}",
        f"traces/{trace}",
        f"queries/{query}{whole}",
        f"processes/{instance}{whole}",
        *(f"traces?{urlencode({**day, **search})}" for search in searches),
        *(f"{name}{whole}" for name in ("deprecations", "processes", "logs", "metrics", "metrics/summary")),
        *(f"metrics/query?{urlencode({**day, **asked})}" for asked in METRICS),
        *(f"{name}{whole}" for name in ("insights", "trends", "sources")),
        *(f"compare?{urlencode(sides)}" for sides in COMPARED),
        *(f"profiles/{name}{whole}" for name in ("tree", "functions", "lines")),
        f"profiles{whole}",
        *("dashboard?hours=24", "insights", "recommendations", "causes", "correlations", "trends", "hub"),
        *("alerts?hours=24", "incidents", "baselines", "objectives", "sources", "maintenance", "rules"),
        *("overview", "endpoints", "traces"),  # of the last hour
    ]


def _ask(address: str, directory: Path) -> int:
    token = Access(secret(str(directory))).token("admin")
    paths = _paths(address, token)
    times: dict[str, list[float]] = {path: [] for path in paths}
    refused = {}
    for _ in range(ROUNDS):
        for path in paths:
            status, body, took = _get(address, f"{PREFIX}/{path}", token)
            times[path].append(took)
            if status != 200:
                refused[path] = f"{status} {str(body)[:200]}"
    print(f"\n{'median':>8} {'worst':>8}  ms, {ROUNDS} rounds")
    missed = 0
    for path, found in times.items():
        late = statistics.median(found) > API_BUDGET
        missed += late or path in refused
        note = f"  {refused[path]}" if path in refused else "  over the budget" if late else ""
        print(f"{statistics.median(found):8.1f} {max(found):8.1f}  {path}{note}")
    return missed


# Notes, in the page itself, when the overview's figures stand in it: milliseconds since the navigation began.
WATCH = """new MutationObserver(() => {
    if (document.querySelector('main [data-loaded=overview]')) window.loadedAt ??= performance.now();
}).observe(document, { subtree: true, childList: true, attributes: true });"""


def _open(address: str, directory: Path) -> int:
    """The time from opening the link to the figures of 24 h in the page, with the browser's cache warm."""
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if program is None:
        print("no Chromium here: the page was not opened")
        return 0
    from playwright.sync_api import sync_playwright

    found = []
    access = Access(secret(str(directory)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--headless=new", "--no-sandbox"])
        page = browser.new_page()
        page.add_init_script(WATCH)
        page.goto(f"{address}/?code={access.code()}")
        page.goto(f"{address}/#/?from=-24h")
        for _ in range(ROUNDS):
            page.reload()
            page.wait_for_selector("main [data-loaded=overview]", timeout=30_000)
            found.append(page.evaluate("window.loadedAt"))
        browser.close()
    median = statistics.median(found)
    print(f"{median:8.1f} {max(found):8.1f}  the page, 24 h{'  over the budget' if median > PAGE_BUDGET else ''}")
    return int(median > PAGE_BUDGET)


if __name__ == "__main__":
    sys.exit(main())

"""The views of databases and of the hub's sources, in a real browser, over a PostgreSQL with a lock in it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import psycopg
import pytest

from perfagent.hub.sources.seen import Blocked, facts
from tests.browser import NARROW, WIDE, Visit
from tests.browser import browser as browser
from tests.hub import ServedHub

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

pytest_plugins = ["tests.servers"]
pytestmark = pytest.mark.slow
MODES = {"light": (WIDE, "light"), "dark": (WIDE, "dark"), "narrow": (NARROW, "light")}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> Iterator[ServedHub]:
    """A hub that watches a database in which one session waits for another."""
    folder = tmp_path_factory.mktemp("hub")
    (folder / "perfagent.toml").write_text(
        f'[[source]]\nname = "shop-db"\nurl = "{postgres_url}"\ninterval = 1\n'
        '[[source]]\nname = "checkout"\nurl = "http://127.0.0.1:9/health"\ninterval = 1\n'
    )
    with (
        psycopg.connect(postgres_url) as holder,
        psycopg.connect(postgres_url) as waiter,
        ServedHub(folder, collects=True, ENABLE_ADAPTIVE_INTERVALS="false") as hub,
    ):
        holder.execute("CREATE TABLE seats (id int)")
        holder.commit()
        holder.execute("LOCK TABLE seats")
        waiting = threading.Thread(target=waiter.execute, args=("SELECT count(*) FROM seats WHERE id = 42",))
        waiting.start()
        deadline = time.monotonic() + 60
        while not facts(hub.hub, Blocked) or "checkout" not in str(hub.hub.sources.states()):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield hub
        holder.rollback()
        waiting.join(30)
        waiter.rollback()
        holder.execute("DROP TABLE seats")
        holder.commit()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("view", "route", "wanted"),
    [
        ("databases", "databases", ["shop-db", "checkout", "no answer", "Degraded"]),
        ("database", "databases/shop-db", ["Who blocks whom", "FROM seats WHERE id = ?", "public.seats", "of 100"]),
        ("hub", "hub", ["What it collects itself", "Zone of the machine", "system", "perfagent.hub", "Critical"]),
    ],
)
def test_a_view_shows_what_the_sources_saw(
    browser: Browser, hub: ServedHub, view: str, route: str, wanted: list[str], mode: str
) -> None:
    size, scheme = MODES[mode]
    with Visit(browser, hub, size, scheme) as visit:
        visit.open(route, view)
        if size == WIDE:
            for text in wanted:
                visit.until(f"document.querySelector('main').innerText.toLowerCase().includes({text.lower()!r})")
        visit.keep(f"sources-{view}-{mode}")
        visit.width_fits()
        visit.accessible()
        if view == "databases" and size == WIDE:
            visit.page.get_by_text("shop-db").first.click()
            visit.wait("database")

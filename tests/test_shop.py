"""The example shop works by itself: what the demo shows is the program's doing, not a mistake of the example."""

from __future__ import annotations

import asyncio
import csv
import logging
import random
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import uvicorn
from examples.shop import catalog, payments, pricing
from examples.shop.app import create_app
from examples.shop.database import ORDERS, PRODUCTS
from examples.shop.settings import Settings
from examples.shop.traffic import visit
from sqlalchemy import event

from tests.program import find_free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Served(uvicorn.Server):
    """A server in a thread of the tests."""

    def __init__(self, app: Any) -> None:
        super().__init__(uvicorn.Config(app, port=find_free_port(), log_level="warning", timeout_keep_alive=60))
        self.app = app
        self.url = f"http://127.0.0.1:{self.config.port}"
        self.thread = threading.Thread(target=self.run)

    def __enter__(self) -> Served:
        self.thread.start()
        while not self.started and self.thread.is_alive():
            self.thread.join(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self.should_exit = True
        self.thread.join()


class Draws(random.Random):
    """Chance that has been told what to draw."""

    def __new__(cls, _: tuple[float, ...]) -> Draws:
        return super().__new__(cls)

    def __init__(self, draws: tuple[float, ...]) -> None:
        super().__init__()
        self._draws = iter(draws)

    def random(self) -> float:
        return next(self._draws)

    def uniform(self, low: float, _: float) -> float:
        return low


@pytest.fixture(scope="module")
def payment_url() -> Iterator[str]:
    with Served(payments.app) as server:
        yield server.url


@pytest.fixture(scope="module")
def shop(payment_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(create_app(Settings(tmp_path_factory.mktemp("shop") / "shop.db", payment_url))) as server:
        yield server


@pytest.fixture
def client(shop: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=shop.url) as client:
        yield client


@pytest.fixture(autouse=True)
def _start_anew() -> None:
    catalog.lists.clear()
    payments.chance.seed(3)  # its first charges succeed


def statements(shop: Served, path: str) -> list[str]:
    """The SQL that a request runs."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: object) -> None:
        seen.append(statement)

    engine = shop.app.state.sessions.kw["bind"]
    event.listen(engine, "before_cursor_execute", note)
    try:
        assert httpx.get(shop.url + path).status_code == 200
    finally:
        event.remove(engine, "before_cursor_execute", note)
    return seen


def test_a_category_is_listed_by_pages_and_comes_from_the_cache_the_second_time(
    shop: Served, client: httpx.Client
) -> None:
    first = client.get("/products", params={"category": "toys"}).json()
    second = client.get("/products", params={"category": "toys", "page": 2}).json()
    assert {product["category"] for product in first["products"]} == {"toys"}
    assert not {p["id"] for p in first["products"]} & {p["id"] for p in second["products"]}
    assert len(statements(shop, "/products?category=music")) == 2
    assert statements(shop, "/products?category=music") == []


def test_a_product_page_has_reviews_and_similar_products(client: httpx.Client) -> None:
    page = client.get("/products/7").json()
    assert page["reviews"]
    assert {similar["category"] for similar in page["similar"]} == {page["category"]}
    assert client.get(f"/products/{PRODUCTS + 1}").status_code == 404


def test_search_finds_the_products_that_have_every_word(client: httpx.Client) -> None:
    found = client.get("/search", params={"q": "wooden chair"}).json()
    assert found
    assert {product["name"] for product in found} == {"wooden chair"}


def test_the_rating_fails_for_a_product_without_reviews_and_for_no_other(client: httpx.Client) -> None:
    assert client.get("/products/19/rating").json()["reviews"] >= 1
    assert client.get("/products/20/rating").status_code == 500


def test_a_cart_becomes_an_order_with_a_log_line_and_a_receipt(
    client: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "examples.shop")
    assert client.post("/customers/5/cart", json={"product_id": 8, "quantity": 2}).json()["quantity"] == 2
    assert client.post("/customers/5/cart", json={"product_id": 8}).json()["quantity"] == 3
    with pytest.warns(DeprecationWarning, match="use gross_price"):
        cart = client.get("/customers/5/cart").json()
    placed = client.post("/customers/5/checkout").json()
    assert placed["total"] == cart["total"]
    newest = client.get("/customers/5/orders").json()[0]
    assert (newest["id"], newest["total"]) == (placed["order"], placed["total"])
    assert newest["lines"] == [{"product": cart["items"][0]["product"], "quantity": 3}]
    assert client.post("/customers/5/checkout").status_code == 409
    written = [f"order {placed['order']} of customer 5", f"receipt of order {placed['order']} sent"]
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(caplog.messages) < len(written):
        time.sleep(0.01)
    assert [message.split(":")[0] for message in caplog.messages] == written


@pytest.mark.parametrize(("draws", "answer"), [((0.5, 0.0), 502), ((0.5, 0.5, 0.0), 402)])
def test_a_payment_that_fails_or_is_declined_leaves_the_cart_as_it_was(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch, draws: tuple[float, ...], answer: int
) -> None:
    client.post("/customers/6/cart", json={"product_id": 8})
    monkeypatch.setattr(payments, "chance", Draws(draws))
    assert client.post("/customers/6/checkout").status_code == answer
    with pytest.warns(DeprecationWarning, match="use gross_price"):
        assert len(client.get("/customers/6/cart").json()["items"]) == 1


def test_the_orders_page_asks_for_the_lines_of_each_order_alone(shop: Served, client: httpx.Client) -> None:
    orders = client.get("/customers/9/orders").json()
    asked = [text for text in statements(shop, "/customers/9/orders") if "FROM order_lines" in text]
    assert len(asked) == len(orders) > 3
    assert len(set(asked)) == 1


def test_the_report_and_the_export_cover_every_order(client: httpx.Client) -> None:
    report = client.get("/reports/sales").json()
    assert len(report) == 8
    rows = list(csv.DictReader(client.get("/exports/orders.csv").text.splitlines()))
    assert len(rows) >= ORDERS
    assert rows[0]["order"] == "1"


def test_the_shop_says_that_it_is_not_ready_without_its_database(payment_url: str, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    with Served(create_app(Settings(tmp_path / "own" / "shop.db", payment_url))) as shop:
        assert {httpx.get(f"{shop.url}/health{page}").status_code for page in ("", "/ready", "/live")} == {200}
        (tmp_path / "own").rename(tmp_path / "away")
        shop.app.state.sessions.kw["bind"].dispose()  # what is open already goes on
        assert httpx.get(f"{shop.url}/health/ready").status_code == 503
        assert httpx.get(f"{shop.url}/health/live").status_code == 200
    assert httpx.get(f"{payment_url}/health/ready").status_code == 200


def test_shipping_is_computed_once_for_the_same_parcel() -> None:
    pricing.shipping_cost.cache_clear()
    assert pricing.shipping_cost(25_000, "DE") == pricing.shipping_cost(25_000, "DE") == 980
    assert pricing.shipping_cost.cache_info().hits == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_visitors_reach_every_corner_of_a_served_shop(payment_url: str, tmp_path: Path) -> None:
    with Served(create_app(Settings(tmp_path / "shop.db", payment_url))) as shop:
        answers = asyncio.run(visit(shop.url, seconds=1, rate=8, seed=4))
        assert httpx.get(shop.url + "/openapi.json").status_code == 200
    assert answers["200"] > 10
    assert set(answers) <= {"200", "201", "402", "404", "500", "502"}

"""Tests that pass, until they are run with `--perfagent`."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from shop.data import LINES

from shop.app import app

client = TestClient(app)


def test_a_cart_has_its_lines() -> None:
    """The endpoint's budget has room for five queries."""
    assert len(client.get("/carts/1").json()["lines"]) == LINES


@pytest.mark.perfagent(queries=1)
def test_a_cart_has_a_total() -> None:
    """One query has to do."""
    assert client.get("/carts/1/total").json() == {"total": 2 * 10 * sum(range(LINES))}

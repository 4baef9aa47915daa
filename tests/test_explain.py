"""Slow statements are explained on a connection of the agent's own, without values and without harm to anybody."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.told_faults import FAULTS, insights, line_of, start, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import RunProgram
    from tests.hub import ServedHub

APP = Path(__file__).parent / "apps" / "slow_statements.py"
PLAN = "perfagent.query.plan"


@pytest.fixture(scope="module")
def hypopg_url(postgres_url: str) -> Iterator[str]:
    """The URL of a database with HypoPG."""
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute("DROP DATABASE IF EXISTS explained WITH (FORCE)")
        admin.execute("CREATE DATABASE explained")
        url = postgres_url.rpartition("/")[0] + "/explained"
        with psycopg.connect(url, autocommit=True) as owner:
            owner.execute("CREATE EXTENSION hypopg")
        yield url
        admin.execute("DROP DATABASE explained WITH (FORCE)")


@pytest.mark.slow
def test_the_hub_names_the_line_of_a_slow_statement_its_plan_and_its_index(
    hub: ServedHub, run_program: RunProgram, hypopg_url: str
) -> None:
    env = {"PERFAGENT_EXPLAIN": "on", "PERFAGENT_EXPLAIN_THRESHOLD": "10", "DATABASE": hypopg_url, "SECONDS": "4"}
    program = start(hub, run_program, "slow_statement", **env)
    (told,) = wait_for(lambda: insights(hub, "missing_index"), program)
    place = f"{FAULTS / 'slow_statement.py'}:{line_of('slow_statement', '# fault:')} orders_of"
    assert told["place"] == place
    assert "reads all 400,000 rows of shop_orders" in told["evidence"]
    assert "CREATE INDEX CONCURRENTLY ON shop_orders (customer)" in told["recommendation"]
    assert told["metrics"]["cost_after"] < told["metrics"]["cost_before"] / 10
    program.check(60)

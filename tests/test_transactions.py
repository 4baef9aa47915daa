"""A transaction that stays open while another service is asked is named, with the call and the statement before it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.agent import agent_env
from tests.told_faults import FAULTS, line_of, told_of

if TYPE_CHECKING:
    from tests.conftest import RunProgram
    from tests.hub import ServedHub
    from tests.otlp import Receiver
    from tests.servers import MysqlServer

APP = Path(__file__).parent / "apps" / "held_transactions.py"


def test_the_call_within_a_transaction_is_named_and_not_the_one_after_it(
    hub: ServedHub, run_program: RunProgram
) -> None:
    (told,) = told_of(hub, run_program, "transaction_across_call", "transaction_across_call")
    line = line_of("transaction_across_call", "# fault:")
    assert told["place"] == f"{FAULTS / 'transaction_across_call.py'}:{line} charge"
    statement = line_of("transaction_across_call", "set paid = 1")
    assert (
        f"update orders set paid = ? where id = ?, from known_faults/transaction_across_call.py:{statement} pay"
        in (told["evidence"])
    )
    assert told["metrics"]["call_ms"] >= 90
    assert "commit before the call" in told["recommendation"]
    assert hub.get(f"traces/{told['traces'][0]}")["spans"][0]["name"] == "POST /pay"


@pytest.mark.slow
@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "sqlalchemy", "asyncpg", "pymysql"])
def test_each_driver_tells_whether_its_transaction_is_open(
    driver: str, receiver: Receiver, run_program: RunProgram, postgres_url: str, mysql_server: MysqlServer
) -> None:
    env = agent_env(receiver, POSTGRES_URL=postgres_url, MYSQL=json.dumps(mysql_server._asdict()))
    run_program("perfagent", "run", sys.executable, str(APP), driver, env=env).check(60)
    (told,) = [one for one in receiver.logs if one.event_name == "perfagent.transaction_across_call"]
    (bad,) = [span for span in receiver.spans if span.name == "bad"]
    assert told.trace_id == bad.trace_id
    lines = APP.read_text().splitlines()
    assert lines[int(told.attributes["code.line.number"]) - 1].endswith("# the call")
    assert lines[int(told.attributes["perfagent.transaction.line.number"]) - 1].endswith("# the statement")
    assert told.attributes["perfagent.transaction.seconds"] >= 0.045
    assert "opensesame" not in str(told.attributes)

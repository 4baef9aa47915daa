"""Where it is asked for, a database sees in each statement who asks; our own spans show it without."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from perfagent.instruments.sqlcommenter import Commenter
from perfagent.runtime.db import QuerySpan, database
from perfagent.runtime.http import ServerSpan
from perfagent.runtime.span import Scope
from tests.agent import agent_env
from tests.test_docs import blocks

if TYPE_CHECKING:
    from tests.conftest import RunProgram
    from tests.otlp import Receiver
    from tests.servers import MysqlServer

APP = Path(__file__).parent / "apps" / "commented.py"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("driver", "wanted", "traced"),
    [
        ("psycopg2", "traceparent", True),
        ("pymysql", "traceparent", True),
        ("psycopg", "traceparent", False),
        ("asyncpg", "everywhere", True),
        ("psycopg2", "off", None),
    ],
)
def test_the_server_sees_the_trace_and_the_span_does_not_show_the_comment(
    driver: str,
    wanted: str,
    traced: bool | None,
    receiver: Receiver,
    run_program: RunProgram,
    postgres_url: str,
    mysql_server: MysqlServer,
) -> None:
    env = agent_env(receiver, POSTGRES_URL=postgres_url, MYSQL=json.dumps(mysql_server._asdict()))
    env["PERFAGENT_SQLCOMMENTER"] = wanted
    told = json.loads(run_program("perfagent", "run", sys.executable, str(APP), driver, env=env).check(60))
    (request,) = [span for span in receiver.spans if span.name == "request"]
    (query,) = [span for span in receiver.spans if span.parent_id == request.span_id]
    assert "/*" not in str(query.attributes)
    comment = told["seen"].partition("/*")[2]
    if traced is None:
        assert not comment
        return
    assert comment.startswith(f"db_driver='{driver}'")
    assert comment.endswith("*/")
    assert (f"traceparent='00-{told['trace']}-{query.span_id}-01'" in comment) is traced


@pytest.mark.slow
def test_the_commands_of_the_page_have_statements_end_in_comments(
    receiver: Receiver, run_program: RunProgram, postgres_url: str, tmp_path: Path
) -> None:
    (commands,) = [block for block in blocks("docs/how-to/queries.md", "sh") if "SQLCOMMENTER" in block]
    (tmp_path / "app.py").write_text(APP.read_text().replace("sys.argv[1]", "'psycopg2'"))
    for line in commands.splitlines():
        program = run_program("bash", "-c", line, env=agent_env(receiver, POSTGRES_URL=postgres_url), cwd=tmp_path)
        seen = json.loads(program.check(60))["seen"]
        assert seen.rpartition("/*")[2].startswith("db_driver='psycopg2'")
        assert ("traceparent='00-" in seen) is ("SQLCOMMENTER=traceparent" in line)


def test_a_comment_has_route_and_framework_quoted_and_in_order() -> None:
    entry = ServerSpan(Scope("perfagent.flask"), None, "GET", "http", "/items/4", "1.1", b"localhost", b"", None)
    entry.route = "/items/{id}"
    span = QuerySpan(Scope("perfagent.psycopg2"), entry, database("postgresql"), "select 1")
    assert Commenter("psycopg2", "route").comment(span) == (
        "/*db_driver='psycopg2',framework='flask',route='%2Fitems%2F%7Bid%7D'*/"
    )

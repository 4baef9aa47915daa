"""`perfagent index analyze` as people and scripts use it, and its page."""

from __future__ import annotations

import json
import sqlite3
import sys
from typing import TYPE_CHECKING, Any

import pytest

from perfagent import cli
from tests.hub import resource, span, traces
from tests.test_docs import blocks
from tests.test_index_advice_postgres import SLOW
from tests.test_index_advice_postgres import database as database
from tests.test_index_advice_postgres import server as server

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunProgram
    from tests.hub import ServedHub
    from tests.test_index_advice_postgres import Database

PAGE = "docs/how-to/indexes.md"
SECRET = "tiger"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the page's file, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    exec(blocks(PAGE, "python")[0], {})
    return tmp_path


def ask(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = cli.main(["index", *words])
    told = capsys.readouterr()
    return status, told.out, told.err


@pytest.mark.slow
def test_the_page_leads_a_newcomer_through(tmp_path: Path, database: Database, run_program: RunProgram) -> None:
    url, connection = database(shop=True)
    for number in range(10):
        connection.execute(SLOW, (number,))
    first, second = blocks(PAGE, "python")
    run_program(sys.executable, "-c", first, cwd=tmp_path).check()
    environ = {"PERFAGENT_DATABASE_URL": url}
    sqlite, analyze, create = (
        run_program("bash", "-euc", block, env=environ, cwd=tmp_path).check(60) for block in blocks(PAGE, "sh")
    )
    assert 'CREATE INDEX "ix_orders_customer_id_created" ON "orders" ("customer_id", "created");' in sqlite
    assert "not run; --yes runs it" in sqlite
    assert "ix_orders_customer_id_created is made" in sqlite
    assert sqlite.rstrip().endswith("nothing to do")
    assert '"customer_id"' in analyze
    assert '"proof": "hypopg"' in analyze
    assert create.count("not run; --yes runs it") == 2
    assert "ix_orders_total is made" in create
    printed = run_program(sys.executable, "-c", second, cwd=tmp_path).check()
    assert printed == 'missing orders CREATE INDEX "ix_orders_customer_id_total" ON "orders" ("customer_id", "total")\n'
    assert "opensesame" not in analyze + create


@pytest.mark.slow
def test_what_a_hub_recorded_is_advised_on(shop: Path, hub: ServedHub, run_program: RunProgram) -> None:
    text = "SELECT * FROM orders WHERE customer_id = ? ORDER BY created DESC LIMIT ?"
    told: dict[str, Any] = {"db__system__name": "sqlite", "db__query__text": text}
    spans = [span(number, "SELECT orders", kind=3, ms=20, **told) for number in range(1, 41)]
    hub.send("traces", traces(resource("shop"), *spans))
    environ = {"PERFAGENT_HUB_URL": hub.url, "PERFAGENT_HUB_TOKEN": hub.access.token("viewer")}
    words = ("perfagent", "index", "analyze", "sqlite:///shop.db", "--hub", "--min-saved", "0", "--output", "json")
    report = json.loads(run_program(*words, env=environ, cwd=shop).check())
    (advice,) = report["advice"]
    (evidence,) = advice["evidence"]
    assert evidence["statement"] == text
    assert (evidence["calls_per_day"], evidence["mean_ms"]) == (40, pytest.approx(20, rel=0.1))
    program = run_program(*words[:-2], "--service", "other", env=environ, cwd=shop)
    assert "nothing to do" in program.check()
    program = run_program(*words, env={**environ, "PERFAGENT_HUB_TOKEN": "wrong"}, cwd=shop)
    assert (program.wait(), "wants a token" in program.stderr) == (2, True)


def test_exit_statuses_are_those_of_the_page(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "slow.sql").write_text("SELECT * FROM orders WHERE customer_id = 5 AND created > '000500'")
    words = ("analyze", "sqlite:///shop.db", "--statements", "slow.sql")
    assert ask(capsys, *words)[0] == 0
    status, shown, _ = ask(capsys, *words, "--fail")
    assert status == 1
    assert "customer_id = ? AND created > ?" in shown
    assert "000500" not in shown  # literals stay
    status, _, told = ask(capsys, "analyze", f"postgresql://scott:{SECRET}@127.0.0.1:1/x")
    assert (status, SECRET in told, told.count("\n")) == (3, False, 1)
    status, _, told = ask(capsys, "analyze", f"oracle://scott:{SECRET}@127.0.0.1:1/x")
    assert (status, SECRET in told, told.count("\n")) == (2, False, 1)
    assert ask(capsys, "analyze", "sqlite:///shop.db", "--statements", "none.sql")[0] == 2
    assert ask(capsys, "analyze", "sqlite:///shop.db", "--service", "x")[0] == 2
    assert ask(capsys, "analyze", "sqlite:///shop.db", "--factor", "0.1")[0] == 2
    status, _, told = ask(capsys, "create", "order", "id", "--url", "sqlite:///shop.db")
    assert (status, told) == (2, "perfagent: no table 'order' here; did you mean orders?\n")


def test_the_report_as_json_has_everything_that_people_see(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "slow.sql").write_text(
        "-- calls=100 mean_ms=50\nSELECT * FROM orders WHERE customer_id = 5; SELECT frob(1);"
    )
    words = ("analyze", "sqlite:///shop.db", "--statements", "slow.sql", "--output", "json")
    report = json.loads(ask(capsys, *words)[1])
    (advice,) = report["advice"]
    assert advice["ddl"] == 'CREATE INDEX "ix_orders_customer_id" ON "orders" ("customer_id")'
    assert advice["saved_ms_per_day"] == pytest.approx(5000 * advice["evidence"][0]["saved"])
    assert advice["size_bytes"] > 100_000
    assert report["statements"] == 2


def test_a_name_from_the_database_does_not_steer_the_terminal(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with sqlite3.connect("shop.db") as connection:
        connection.execute('CREATE INDEX "\x1b[2Jone" ON orders (total)')
        connection.execute('CREATE INDEX "\x1b[2Jtwo" ON orders (total)')
    (shop / "slow.sql").write_text("SELECT 1")
    status, shown, _ = ask(capsys, "analyze", "sqlite:///shop.db", "--statements", "slow.sql")
    assert status == 0
    assert "\x1b" not in shown
    assert "duplicate" in shown


def test_a_missing_package_is_one_line(shop: Path, run_program: RunProgram) -> None:
    (shop / "hide.py").write_text(
        "import sys, importlib.util\n"
        "found = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'sqlglot' else found(name, *rest)\n"
        "from perfagent.cli import main\n"
        "sys.exit(main(['index', 'analyze', 'sqlite:///shop.db']))\n"
    )
    program = run_program(sys.executable, "hide.py", cwd=shop)
    assert program.wait() == 2
    assert program.stderr == 'perfagent: index advice needs sqlglot: pip install "perfagent[indexes]"\n'


def test_a_missing_driver_is_named_as_pip_knows_it(shop: Path, run_program: RunProgram) -> None:
    (shop / "hide.py").write_text(
        "import sys, importlib.util\n"
        "found = importlib.util.find_spec\n"
        "gone = ('pymysql', 'MySQLdb')\n"
        "importlib.util.find_spec = lambda name, *rest: None if name in gone else found(name, *rest)\n"
        "from perfagent.cli import main\n"
        "sys.exit(main(['index', 'analyze', 'mysql://watcher@localhost/shop']))\n"
    )
    program = run_program(sys.executable, "hide.py", cwd=shop)
    assert program.wait() == 2
    assert program.stderr == "perfagent: mysql needs a driver: pip install pymysql or mysqlclient\n"


def test_the_address_of_the_database_is_not_shown_with_its_password(run_program: RunProgram, tmp_path: Path) -> None:
    environ = {"DATABASE_URL": f"postgresql://scott:{SECRET}@db/shop"}
    shown = run_program("perfagent", "config", "database_url", env=environ, cwd=tmp_path).check()
    assert "PERFAGENT_DATABASE_URL = postgresql://…@db/shop" in shown

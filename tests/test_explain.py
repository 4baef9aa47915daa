"""Slow statements are explained on a connection of the agent's own, without values and without harm to anybody."""

from __future__ import annotations

import contextlib
import json
import socket
import sqlite3
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import psycopg2
import pymysql
import pytest

from perfagent.explain.sessions import Address, Session
from perfagent.explain.slow import Slow
from perfagent.runtime.db import Database, QuerySpan
from perfagent.runtime.span import Scope
from tests.agent import agent_env
from tests.browser import NARROW, WIDE, Visit
from tests.servers import need_mysqlclient
from tests.test_docs import blocks
from tests.told_faults import FAULTS, insights, line_of, start, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from tests.conftest import RunProgram, RunText
    from tests.hub import ServedHub
    from tests.otlp import Receiver
    from tests.servers import MysqlServer

APP = Path(__file__).parent / "apps" / "slow_statements.py"
PLAN = "perfagent.query.plan"
ON = {"PERFAGENT_EXPLAIN": "on", "PERFAGENT_EXPLAIN_THRESHOLD": "10", "PERFAGENT_EXPLAIN_PER_MINUTE": "20"}
DRIVERS = ["psycopg", "psycopg2", "asyncpg", "sqlalchemy", "pymysql", "mysqlclient", "sqlite3"]


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


@pytest.fixture(scope="module")
def filled(hypopg_url: str, mysql_server: MysqlServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A table of many rows without an index for what is asked, in each database; as the environment of a program."""
    file = str(tmp_path_factory.mktemp("explained") / "a file.db")
    table = "create table many (id integer primary key, owner integer, note text)"
    numbers = "with recursive n (i) as (select 1 union all select i + 1 from n where i < 400000)"
    fill = f"insert into many {numbers} select i, i % 5000, 'a note' from n"
    with psycopg.connect(hypopg_url, autocommit=True) as postgres:
        for sql in ("drop table if exists many, touched", table, "create table touched (id integer)", fill):
            postgres.execute(sql)
        postgres.execute("analyze many")
    with contextlib.closing(sqlite3.connect(file)) as sqlite, sqlite:
        sqlite.execute(table)
        sqlite.execute(fill)
    with contextlib.closing(pymysql.connect(**mysql_server._asdict(), autocommit=True)) as mysql:
        cursor = mysql.cursor()
        for sql in ("drop table if exists many", table, "set max_recursive_iterations = 1000000", fill):
            cursor.execute(sql)
        cursor.execute("analyze table many")
    return {"POSTGRES_URL": hypopg_url, "MYSQL": json.dumps(mysql_server._asdict()), "FILE": file}


def ask(cursor: Any, *statements: str) -> None:
    """Runs statements one after the other."""
    for sql in statements:
        cursor.execute(sql)


def explained(
    receiver: Receiver, run_program: RunProgram, driver: str, seconds: float, part: str = "", **env: str
) -> dict[str, Any]:
    """What the program says at its end, with plans asked for of everything that takes 10 ms."""
    env = {**ON, **env}
    command = ("perfagent", "run", sys.executable, str(APP), driver, str(seconds), part)
    said: dict[str, Any] = json.loads(run_program(*command, env=agent_env(receiver, **env)).check(220))
    return said


def plans(receiver: Receiver) -> list[Any]:
    """What was told of the statement's plan; on a busy machine others are slow, too."""
    told = [one for one in receiver.logs if one.event_name == PLAN]
    return [one for one in told if "many v" in str(one.attributes["db.query.text"])]


def walk(step: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A step of a plan and all below it."""
    yield step
    for one in step.get("below", ()):
        yield from walk(one)


@pytest.mark.slow
@pytest.mark.parametrize("driver", DRIVERS)
def test_each_driver_s_slow_statement_is_explained_beside_its_own_connection(
    driver: str, receiver: Receiver, run_program: RunProgram, filled: dict[str, str]
) -> None:
    if driver == "mysqlclient":
        need_mysqlclient()
    own = explained(receiver, run_program, driver, 100, "many v", **filled)
    (told,) = plans(receiver)
    assert told.attributes.get(PLAN + ".failure") is None
    (marked,) = [step for step in walk(json.loads(told.attributes[PLAN + ".tree"])) if "mark" in step]
    assert marked["mark"] == told.attributes[PLAN + ".mark"]
    assert "reads all " in marked["mark"]
    assert "opensesame" not in str(told.attributes) + told.body
    line = int(told.attributes["code.line.number"])
    assert APP.read_text().splitlines()[line - 1].endswith("# the statement")
    assert told.trace_id in {span.trace_id for span in receiver.spans if span.name == "work"}
    # Nothing of what the agent itself asked is measured.
    asked = [str(span.attributes.get("db.query.text")) for span in receiver.spans]
    assert not [text for text in asked if "EXPLAIN" in text or "hypopg" in text or "READ ONLY" in text]
    if driver in ("psycopg", "psycopg2", "asyncpg", "sqlalchemy"):
        assert told.attributes[PLAN + ".index"] == "CREATE INDEX CONCURRENTLY ON many (owner)"
        assert told.attributes[PLAN + ".index.after"] < told.attributes[PLAN + ".index.before"] * 0.5
    if "before" in own:
        assert own["before"] == own["after"]
        assert (own["locks_after"] >= own["locks"], own["prepared"], own["rolled_back"]) == (True, 0, True)


def test_nothing_is_asked_unless_it_is_turned_on(receiver: Receiver, run_program: RunProgram, tmp_path: Path) -> None:
    file = str(tmp_path / "small.db")
    with contextlib.closing(sqlite3.connect(file)) as sqlite, sqlite:
        sqlite.execute("create table many (id integer primary key, owner integer, note text)")
    own = explained(receiver, run_program, "sqlite3", 0.1, FILE=file, PERFAGENT_EXPLAIN="off")
    assert own["modules"] == []
    assert not plans(receiver)


@pytest.mark.slow
def test_a_database_without_a_free_connection_is_left_alone(
    receiver: Receiver, run_program: RunProgram, filled: dict[str, str]
) -> None:
    url = filled["POSTGRES_URL"]
    with psycopg.connect(url, autocommit=True) as admin:
        if not admin.execute("select 1 from pg_roles where rolname = 'narrow'").fetchone():
            admin.execute("create role narrow login connection limit 1")
        admin.execute("grant all on many, touched to narrow")
    own = explained(receiver, run_program, "psycopg", 100, POSTGRES_URL=url.replace("tester:", "narrow:"))
    assert own["rolled_back"]
    told = [one.attributes for one in receiver.logs if one.event_name == PLAN]
    assert told, "of whichever statement was slow first"
    assert all(one[PLAN + ".failure"].startswith("no connection: OperationalError") for one in told)
    assert "opensesame" not in str(told)


MOVED = """
    import json, os, time
    import {driver} as driver
    from perfagent.explain import slow
    {connect}
    for path in {paths!r}:
        until = time.monotonic() + 60
        cursor = connection.cursor()
        cursor.execute(f"{move}")
        while time.monotonic() < until and not any(one.told for one in list(slow.known.values())):
            cursor.execute("select count(*), {sleep}(0.02) from many v where v.owner = %s and v.note <> ''", (7,))
            cursor.fetchall()
    """


@pytest.mark.slow
@pytest.mark.parametrize("way", ["search_path", "set_role", "several", "use"])
def test_a_plan_is_of_the_tables_that_the_program_s_connection_means(
    way: str, receiver: Receiver, run_text: RunText, filled: dict[str, str]
) -> None:
    driver, paths, move, sleep = "psycopg", ["elsewhere"], "set search_path to {path}, public", "pg_sleep"
    connect = "connection = driver.connect(os.environ['POSTGRES_URL'], autocommit=True)"
    table = "create table elsewhere.many (id integer, owner integer, note text)"
    fill = "insert into elsewhere.many select i, i, 'a note' from generate_series(1, 40000) i"
    if way == "use":
        driver, move, sleep = "pymysql", "use {path}", "sleep"
        connect = "connection = driver.connect(**json.loads(os.environ['MYSQL']), autocommit=True)"
        with contextlib.closing(pymysql.connect(**json.loads(filled["MYSQL"]), autocommit=True)) as connection:
            mysql = connection.cursor()
            ask(mysql, "drop database if exists elsewhere", "create database elsewhere", table)
            ask(mysql, "insert into elsewhere.many select * from many", "create index often on elsewhere.many (owner)")
            ask(mysql, "analyze table elsewhere.many")
    else:
        with psycopg.connect(filled["POSTGRES_URL"], autocommit=True) as postgres:
            ask(postgres.cursor(), "drop schema if exists elsewhere cascade", "create schema elsewhere", table, fill)
            ask(postgres.cursor(), "create index often on elsewhere.many (owner)", "analyze elsewhere.many")
            if way == "set_role":
                ask(postgres.cursor(), "drop role if exists moved", "create role moved", "grant moved to current_user")
                ask(postgres.cursor(), "grant usage on schema elsewhere, public to moved")
                ask(postgres.cursor(), "grant select on all tables in schema elsewhere to moved")
                ask(postgres.cursor(), "create schema if not exists moved", "drop view if exists moved.many")
                ask(postgres.cursor(), "create view moved.many as select * from elsewhere.many")
                ask(postgres.cursor(), "grant usage on schema moved to moved", "grant select on moved.many to moved")
                paths, move = ["moved"], "set role {path}"
                connect = connect.replace("autocommit", "options='-c search_path=$user', autocommit")
    if way == "several":
        paths, connect = ["elsewhere"], f"{connect}; connection.execute('set search_path to public')"
    run_text(MOVED.format(driver=driver, connect=connect, paths=paths, move=move, sleep=sleep), **{**ON, **filled})
    for told in plans(receiver):
        if way == "several":
            assert told.attributes[PLAN + ".failure"].startswith("the program changes the schema or the role")
            continue
        steps = [step["step"] for step in walk(json.loads(told.attributes[PLAN + ".tree"]))]
        assert any("often" in step for step in steps), "the table of the other schema has an index"
        assert "the program sets" in told.attributes[PLAN + ".note"]
    assert plans(receiver)


def test_of_several_servers_the_one_is_asked_that_the_program_has_found(postgres_url: str) -> None:
    from perfagent.explain import sessions

    known = psycopg.conninfo.conninfo_to_dict(postgres_url)
    several = {**known, "host": f"127.0.0.1,{known['host']}", "port": f"1,{known['port']}"}
    for connect in (psycopg.connect, psycopg2.connect):
        with contextlib.closing(connect(**several)) as connection:
            address = sessions.address_of(connection)
            assert address is not None
            assert str(address.options["port"]) == str(known["port"])
            session = sessions.opened(address)
            assert session.ask("select 1") == [(1,)]
            session.close()


class Held(Session):
    """A connection that answers once it is cut off, and then with an error."""

    def __init__(self) -> None:
        self.over, self.asked = threading.Event(), threading.Event()
        super().__init__(self.wait, lambda: None)

    def wait(self, sql: str, *values: Any) -> list[Any]:
        self.asked.set()
        self.over.wait(20)
        raise sqlite3.OperationalError

    def cut(self) -> None:
        self.over.set()


def slow_spans(number: int) -> list[QuerySpan]:
    """Calls of one statement, each to a database of its own."""
    scope = Scope("test")
    found = [QuerySpan(scope, None, Database("sqlite", f"file {one}"), "select 1 from many v") for one in range(number)]
    for span in found:
        span.ended = span.started + 10**9
    return found


def test_the_same_statement_has_a_plan_of_its_own_in_each_database(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(0, 10, 3600)
    for span in slow_spans(2) * 2:
        slow._look(span, Address("sqlite3", {}, (span.database.attributes["db.namespace"],)), 0.0)
    assert [job[2].key[1] for job in slow.jobs] == ["file 0", "file 1"]
    monkeypatch.setattr(sys.modules["perfagent.explain.moves"], "_seen", {span.database: {"set role clerk"}})
    slow._look(span, Address("sqlite3", {}, ("file 1 again",)), 0.0)
    assert slow.jobs[-1][2].key[1] == "file 1 again", "that another role may have another one"


def test_a_fork_cuts_off_what_is_under_way_and_it_is_asked_again_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    slow, sessions = Slow(0, 10, 3600), [Held(), Held()]
    monkeypatch.setattr(sys.modules["perfagent.explain.sessions"], "opened", lambda address: sessions.pop())
    told = []
    monkeypatch.setattr(sys.modules["perfagent.explain.slow"], "_tell", lambda span, found: told.append(found))
    (span,) = slow_spans(1)
    slow._look(span, Address("sqlite3", {}, ("file",)), 0.0)
    second, first = sessions
    slow.start()
    assert first.asked.wait(20)
    assert slow.halt(), "its thread is gone before the fork"
    assert not told
    slow.resume()
    assert second.asked.wait(20)
    slow.stop()
    slow.stop()
    assert not told


@pytest.mark.slow
@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_a_database_that_never_answers_keeps_nobody_waiting(
    driver: str, receiver: Receiver, run_program: RunProgram, filled: dict[str, str]
) -> None:
    with Silent(filled["POSTGRES_URL"]) as silent:
        own = explained(receiver, run_program, driver, 0.5, POSTGRES_URL=silent.url)
        assert silent.ignored == 1
    assert own["rolled_back"]
    assert not [one for one in plans(receiver) if PLAN + ".tree" in one.attributes]


class Silent:
    """A way to a PostgreSQL that leads there once; whoever comes later is taken, and never answered.

    Args:
        url: the server's.
    """

    def __init__(self, url: str) -> None:
        self._port = int(str(psycopg.conninfo.conninfo_to_dict(url)["port"]))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = url.replace(f":{self._port}/", f":{self._listener.getsockname()[1]}/")
        self.ignored = 0
        self._open: list[socket.socket] = []

    def __enter__(self) -> Silent:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._listener, *self._open):
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            here, _ = self._listener.accept()
            there = socket.create_connection(("127.0.0.1", self._port))
            self._open += [here, there]
            for one, other in ((here, there), (there, here)):
                threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()
            while True:
                self._open.append(self._listener.accept()[0])
                self.ignored += 1

    @staticmethod
    def _pass_on(one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)


@pytest.mark.slow
def test_the_hub_names_the_line_of_a_slow_statement_its_plan_and_its_index(
    hub: ServedHub, run_program: RunProgram, hypopg_url: str, browser: Browser
) -> None:
    (command,) = [block for block in blocks("docs/how-to/queries.md", "sh") if "PERFAGENT_EXPLAIN" in block]
    setting, *_, file = command.split()
    name, _, value = setting.partition("=")
    env = {**ON, name: value, "DATABASE": hypopg_url, "SECONDS": "4"}
    program = start(hub, run_program, Path(file).stem, **env)
    (told,) = wait_for(lambda: insights(hub, "missing_index"), program)
    place = f"{FAULTS / 'slow_statement.py'}:{line_of('slow_statement', '# fault:')} orders_of"
    assert told["place"] == place
    assert "reads all 400,000 rows of shop_orders" in told["evidence"]
    assert "CREATE INDEX CONCURRENTLY ON shop_orders (customer)" in told["recommendation"]
    assert told["metrics"]["cost_after"] < told["metrics"]["cost_before"] / 10
    program.check()
    queries = hub.get("queries", hours=1)["items"]
    (query,) = [one for one in queries if one["text"].startswith("select id, email")]
    plan = hub.get(f"queries/{query['operation']}", hours=1)["plan"]
    assert plan["place"] == place
    assert plan["index"]["ddl"] == "CREATE INDEX CONCURRENTLY ON shop_orders (customer)"
    assert [step["step"] for step in walk(plan["plan"]) if step["mark"]] == ["Seq Scan on shop_orders"]
    assert "example.com" not in json.dumps(plan)
    for size, scheme in ((WIDE, "light"), (WIDE, "dark"), (NARROW, "dark")):
        with Visit(browser, hub, size, scheme) as visit:
            visit.open(f"queries/{query['operation']}", "query")
            shown = visit.text()
            assert "reads all 400,000 rows of shop_orders" in shown
            assert "CREATE INDEX CONCURRENTLY" in shown
            visit.width_fits()
            visit.accessible()
            visit.keep(f"plan-{size[0]}-{scheme}")
            visit.check()

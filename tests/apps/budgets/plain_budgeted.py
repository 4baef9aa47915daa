"""Tests of every kind, each of which asks for a known number of rows, one by one."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import unittest
import urllib.request
import warnings
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest


def ask(connection: sqlite3.Connection, times: int) -> None:
    for number in range(times):
        connection.execute("SELECT name FROM items WHERE id = ?", (number,)).fetchone()


def test_two_queries(database: sqlite3.Connection) -> None:
    ask(database, 1)
    database.execute("SELECT count(*) FROM items")
    database.execute("INSERT INTO items VALUES (99, 'new')")
    database.commit()


@pytest.mark.parametrize("times", [3, 7])
def test_parametrised(database: sqlite3.Connection, times: int) -> None:
    ask(database, times)


class TestOfUnittest(unittest.TestCase):
    def setUp(self) -> None:
        self.connection = sqlite3.connect(":memory:")
        self.connection.execute("CREATE TABLE items (id INTEGER, name TEXT)")

    def tearDown(self) -> None:
        self.connection.close()

    def test_four_queries(self) -> None:
        ask(self.connection, 4)


class TestOfUnittestAsync(unittest.IsolatedAsyncioTestCase):
    async def test_five_queries(self) -> None:
        connection = sqlite3.connect(":memory:")
        connection.execute("CREATE TABLE items (id INTEGER, name TEXT)")
        await asyncio.gather(asyncio.to_thread(_in_thread), asyncio.sleep(0))
        ask(connection, 1)
        connection.close()


def _in_thread() -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE items (id INTEGER, name TEXT)")
    ask(connection, 2)
    connection.close()


@pytest.mark.anyio
async def test_async(database: sqlite3.Connection) -> None:
    await asyncio.create_task(_later(database))


async def _later(database: sqlite3.Connection) -> None:
    await asyncio.sleep(0)
    ask(database, 6)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_in_a_thread(database: sqlite3.Connection) -> None:
    thread = threading.Thread(target=ask, args=(database, 8))
    thread.start()
    thread.join()


def test_one_call(elsewhere: str) -> None:
    with urllib.request.urlopen(elsewhere, timeout=10) as response:
        assert response.read() == b"ok"


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_a_call_to_itself_is_none(database: sqlite3.Connection) -> None:
    def app(environ: object, start_response: object) -> list[bytes]:
        ask(database, 3)
        start_response("200 OK", [("Content-Length", "2")])  # type: ignore[operator]
        return [b"ok"]

    with make_server("127.0.0.1", 0, app, handler_class=Quiet) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/own", timeout=10) as response:
            assert response.read() == b"ok"
        thread.join()


def test_output_is_captured(capsys: pytest.CaptureFixture[str]) -> None:
    print("hello")
    assert capsys.readouterr() == ("hello\n", "")


def test_warnings_are_told() -> None:
    with pytest.warns(DeprecationWarning, match="old"):
        warnings.warn("old", DeprecationWarning, stacklevel=1)


def test_logs_have_no_fields_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    import logging

    logging.getLogger("shop").warning("hello")
    assert not any("otel" in key.lower() for key in vars(caplog.records[0]))


def test_what_fails_fails() -> None:
    raise ValueError("its own")


@pytest.mark.xfail(raises=KeyError)
def test_what_is_expected_to_fail() -> None:
    raise KeyError("expected")


def test_what_is_skipped() -> None:
    pytest.skip("not today")

"""What a span is an execution of: by the conventions of today, and by those that SDKs of other languages still send."""

from __future__ import annotations

from typing import Any

import pytest

from perfagent.hub.receive import operations
from perfagent.hub.receive.operations import CLIENT, CONSUMER, INTERNAL, PRODUCER, SERVER
from perfagent.hub.receive.statements import normalised, summary


def made(kind: int, name: str, **attributes: Any) -> tuple[str, str, str, str]:
    """Category, name, system and text; `http__route` stands for "http.route"."""
    told = {key.replace("__", "."): value for key, value in attributes.items()}
    shape = operations.shape("shop", kind, name, told)
    if shape.remote:
        shape = operations.shape("shop", kind, name, told, operations.host(told))
    return shape.operation[2:]


@pytest.mark.parametrize(
    ("name", "attributes", "expected"),
    [
        ("GET", {"http__request__method": "GET", "http__route": "/items/{id}"}, "GET /items/{id}"),
        ("/items/:id", {"http__method": "GET", "http__route": "/items/:id"}, "GET /items/:id"),
        ("GET", {"http__request__method": "GET", "url__path": "/items/7"}, "GET"),
        ("HTTP POST", {"http__method": "POST", "http__target": "/items/7"}, "HTTP POST"),
        ("HTTP", {"http__request__method": "_OTHER", "http__route": "/x"}, "HTTP /x"),
        (
            "shop.Cart/Add",
            {"rpc__system": "grpc", "rpc__service": "shop.Cart", "rpc__method": "Add"},
            "shop.Cart/Add",
        ),
        ("anything", {"rpc__system__name": "grpc", "rpc__method": "shop.Cart/Add"}, "shop.Cart/Add"),
        ("shop.Cart/Add", {"rpc__system__name": "grpc", "rpc__method": "_OTHER"}, "shop.Cart/Add"),
        ("handler", {}, "handler"),
    ],
)
def test_a_server_span_is_its_method_and_route_or_its_procedure(
    name: str, attributes: dict[str, Any], expected: str
) -> None:
    assert made(SERVER, name, **attributes)[:2] == ("server", expected)


@pytest.mark.parametrize(
    ("name", "attributes", "expected"),
    [
        (
            "SELECT items",
            {"db__system__name": "postgresql", "db__query__summary": "SELECT items", "db__query__text": "SELECT 1"},
            ("db", "SELECT items", "postgresql", "SELECT ?"),
        ),
        (
            "items",
            {"db__system": "mysql", "db__operation": "INSERT", "db__sql__table": "items", "db__statement": "INSERT …"},
            ("db", "INSERT items", "mysql", "INSERT …"),
        ),
        (
            "SELECT",
            {"db__system": "sqlite", "db__statement": "select name from main.items where id = 7 and n = 'O''Neil'"},
            ("db", "SELECT main.items", "sqlite", "select name from main.items where id = ? and n = ?"),
        ),
        (
            "shop.find",
            {
                "db__system": "mongodb",
                "db__operation": "find",
                "db__mongodb__collection": "items",
                "db__statement": '{"find": "items", "filter": {"id": 7}}',
            },
            ("db", "find items", "mongodb", '{"find": ?, "filter": {"id": ?}}'),
        ),
        (
            "proc",
            {
                "db__system__name": "postgresql",
                "db__operation__name": "CALL",
                "db__stored_procedure__name": "tidy",
            },
            ("db", "CALL tidy", "postgresql", ""),
        ),
        ("connect", {"db__system": "postgresql"}, ("db", "connect", "postgresql", "")),
    ],
)
def test_a_query_is_its_summary_and_its_text_without_literals(
    name: str, attributes: dict[str, Any], expected: tuple[str, ...]
) -> None:
    assert made(CLIENT, name, **attributes) == expected
    assert made(INTERNAL, name, **attributes) == expected  # a database within the process


@pytest.mark.parametrize(
    ("name", "attributes", "command"),
    [
        ("GET", {"db__system__name": "redis", "db__operation__name": "GET", "db__query__text": "GET user:7"}, "GET"),
        ("get", {"db__system": "redis", "db__statement": "get user:7"}, "GET"),
        ("SET", {"db__system": "redis", "db__statement": "SET ? ?"}, "SET"),
        ("HSET GET", {"db__system": "redis", "db__redis__pipeline_length": 2}, "PIPELINE"),
        ("redis.pipeline set get", {"db__system": "redis", "db__redis__num_cmd": 2}, "PIPELINE"),
        ("MULTI", {"db__system": "redis", "db__operation__name": "MULTI", "db__operation__batch__size": 3}, "MULTI"),
        ("set", {"db__system": "memcached", "db__statement": "set user:7"}, "SET"),
        ("HMGET", {"db__system__name": "valkey"}, "HMGET"),
    ],
)
def test_a_cache_is_its_command_and_never_a_key(name: str, attributes: dict[str, Any], command: str) -> None:
    category, found, _system, text = made(CLIENT, name, **attributes)
    assert (category, found, text) == ("cache", command, "")


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        (
            {"http__request__method": "GET", "server__address": "api.example.com", "server__port": 443},
            "api.example.com",
        ),
        ({"http__request__method": "GET", "server__address": "127.0.0.1", "server__port": 8080}, "127.0.0.1:8080"),
        ({"http__request__method": "GET", "server__address": "::1", "server__port": 8080}, "[::1]:8080"),
        (
            {"http__request__method": "GET", "server__address": "api", "url__template": "/items/{id}"},
            "api/items/{id}",
        ),
        ({"http__method": "GET", "net__peer__name": "api", "net__peer__port": 9000}, "api:9000"),
        ({"http__method": "GET", "http__url": "https://user:pw@api.example.com/items/7?q=1"}, "api.example.com"),
        ({"http__method": "GET", "http__url": "http://[::1]:81/items/7"}, "[::1]:81"),
        ({"http__method": "GET", "http__host": "api:9000", "http__target": "/items/7"}, "api:9000"),
        ({"http__request__method": "GET", "url__full": "http://api:9000/items/7"}, "api:9000"),
        ({"http__method": "GET", "http__url": "http://[bad/7"}, ""),
    ],
)
def test_a_request_to_elsewhere_is_its_method_and_host_and_never_a_path(
    attributes: dict[str, Any], expected: str
) -> None:
    assert made(CLIENT, "HTTP GET", **attributes) == ("http", f"GET {expected}".strip(), "", "")


def test_the_other_kinds_go_by_the_names_of_their_spans() -> None:
    assert made(CONSUMER, "process orders", messaging__system="kafka") == ("consumer", "process orders", "kafka", "")
    assert made(PRODUCER, "send orders", messaging__system="kafka") == ("producer", "send orders", "kafka", "")
    assert made(INTERNAL, "work") == ("internal", "work", "", "")
    assert made(0, "work") == ("internal", "work", "", "")
    assert made(CLIENT, "poll", messaging__system="kafka") == ("rpc", "poll", "kafka", "")
    assert made(CLIENT, "x", rpc__system="grpc", rpc__service="shop.Cart", rpc__method="Add") == (
        "rpc", "shop.Cart/Add", "grpc", "",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("attributes", "caller"),
    [
        (
            {"code.file.path": "/app/views.py", "code.line.number": 88, "code.function.name": "shop.views.item"},
            "/app/views.py:88 shop.views.item",
        ),
        ({"code.filepath": "/app/views.py", "code.lineno": 88, "code.function": "item"}, "/app/views.py:88 item"),
        ({"code.function.name": "item"}, "item"),
        ({"code.file.path": "/app/views.py"}, "/app/views.py"),
        ({"code.line.number": 88}, None),
        ({}, None),
    ],
)
def test_the_caller_is_file_line_and_function(attributes: dict[str, Any], caller: str | None) -> None:
    assert operations.caller(attributes) == caller


@pytest.mark.parametrize(
    ("value", "code"), [(200, 200), ("404", 404), ("x", 0), (-1, 0), (70_000, 0), (2.5, 0), (None, 0)]
)
def test_a_status_code_is_a_number_that_the_table_holds(value: object, code: int) -> None:
    assert operations.shape("shop", SERVER, "GET", {"http.response.status_code": value}).status_code == code
    assert operations.shape("shop", SERVER, "GET", {"http.status_code": value}).status_code == code


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SELECT * FROM t1 WHERE a=1 AND b = -2.5e3 AND c='x'", "SELECT * FROM t1 WHERE a=? AND b = -? AND c=?"),
        ("SELECT 0xFF, .5", "SELECT ?, ?"),
        ("SELECT $1, :name, %s, %(n)s, @p1, ?", "SELECT $1, :name, %s, %(n)s, @p1, ?"),
        ("SELECT /* secret 1 */ a -- 'x'\nFROM\n\t t", "SELECT a FROM t"),
        ("SELECT 'never ends", "SELECT ?"),
        ("SELECT /* never ends", "SELECT"),
        ("SELECT * FROM t WHERE id IN (1, 2, 3) AND x in ($1,$2)", "SELECT * FROM t WHERE id IN (?) AND x in ($1)"),
        ("INSERT INTO t (a, b) VALUES (1, 'x'), (2, 'y'), (3, 'z')", "INSERT INTO t (a, b) VALUES (?, ?)"),
        ('SELECT "a" FROM "t"', 'SELECT "a" FROM "t"'),
        ("SELECT 'it''s', 'a\\'b', 1", "SELECT ?, ?, ?"),
    ],
)  # fmt: skip
def test_a_statement_loses_its_literals(statement: str, expected: str) -> None:
    assert normalised(statement, "postgresql") == expected
    assert normalised(expected, "postgresql") == expected


def test_double_quotes_are_strings_where_the_database_says_so() -> None:
    assert normalised('SELECT "secret"', "mysql") == "SELECT ?"


def test_a_statement_of_any_length_takes_little_time_and_stays_short() -> None:
    for text in ("'" * 100_000, "(" * 100_000, "in (" * 25_000, "values (?," * 10_000, "/*" * 50_000, "\\" * 100_000):
        assert len(normalised(f"SELECT {text}")) <= 4096


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT a FROM `shop`.`items`", "SELECT shop.items"),
        ("(SELECT a FROM items)", "SELECT items"),
        ("update items set a = ?", "UPDATE items"),
        ("CREATE TABLE IF NOT EXISTS items (a INT)", "CREATE items"),
        ("BEGIN", "BEGIN"),
        ("", ""),
        ("{}", ""),
    ],
)
def test_a_statement_is_summed_up_as_its_verb_and_first_table(text: str, expected: str) -> None:
    assert summary(text) == expected

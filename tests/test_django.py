"""Django: patterns name the spans, unhandled errors are told, caches are counted, by WSGI and by ASGI."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from perfagent.instruments.django import template
from tests.otlp import Receiver
from tests.web import Web

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import RunProgram

SERVERS = {
    "gunicorn": ("tests.apps.django_app:wsgi", "-b", "127.0.0.1:PORT", "--no-control-socket", "--threads", "2"),
    "uvicorn": ("tests.apps.django_app:asgi", "--port", "PORT", "--lifespan", "off"),
}
QUERIES = (  # beside those by which Django opens a connection
    'SELECT "shop_item"."id", "shop_item"."title" FROM "shop_item" WHERE "shop_item"."id" = ? LIMIT ?',
    "select ?",
)


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with Receiver() as receiver:
        web = Web(receiver, tmp_path_factory.mktemp("server"), request.param, *SERVERS[request.param])
        yield web
        web.program.stop()
        assert "perfagent:" not in web.program.stderr


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/items/7/", "/items/<int:number>/"),
        ("/archive/2026/", "/archive/(?P<year>[0-9]{4})/"),
        ("/archive/2026/june/", "/archive/(?P<year>[0-9]{4})/<slug:name>/"),
        ("/", "/"),
        ("/absent", "/absent"),
    ],
)
def test_a_request_is_named_by_its_pattern(server: Web, path: str, route: str) -> None:
    server.ask(path)
    span = server.server_spans(path)[0]
    assert span.attributes["http.route"] == route
    assert span.name == f"GET {route}"


@pytest.mark.parametrize(("path", "status"), [("/nothing", 404), ("/refused", 403), ("/items/7", 301)])
def test_a_request_that_no_pattern_was_asked_for_or_matched_has_no_route(server: Web, path: str, status: int) -> None:
    assert server.ask(path).status == status
    span = server.server_span(path)
    assert ("http.route" in span.attributes, span.name, span.status.code) == (False, "GET", "UNSET")


@pytest.mark.parametrize("path", ["/items/8/", "/later/9/", "/stream"])
def test_queries_of_models_in_views_coroutines_and_streams_belong_to_their_request(server: Web, path: str) -> None:
    assert server.ask(path).status == 200
    request = server.server_span(path)
    (query,) = server.receiver.wait_for_spans(
        1, where=lambda span: span.parent_id == request.span_id and span.attributes["db.query.text"] in QUERIES
    )
    assert (query.kind, query.attributes["db.system.name"]) == ("CLIENT", "sqlite")


def test_an_unhandled_exception_is_recorded_once_with_its_type(server: Web) -> None:
    assert server.ask("/boom").status == 500
    span = server.server_span("/boom")
    assert (span.attributes["error.type"], span.attributes["http.response.status_code"]) == ("LookupError", 500)
    (event,) = span.events
    assert event.attributes["exception.message"] == "nobody handles it"
    assert "in boom" in str(event.attributes["exception.stacktrace"])


def test_look_ups_in_caches_are_counted_by_alias_and_answer_as_before(server: Web) -> None:
    import json

    told = json.loads(server.ask("/cached").body)  # type: ignore[attr-defined]
    assert told == {"told": [1, 5, None, True, 7], "many": {"a": 1}, "files": {"d": 1}, "none": None}

    # In memory: a, nothing, get_or_set's look after it has set, a of many; b twice, get_or_set's first look.
    for alias, counts in {"files": (1, 1), "default": (4, 3)}.items():
        found = []
        for name in ("hits", "misses"):
            server.receiver.wait_for_metric(
                f"perfagent.cache.{name}", where=lambda point, alias=alias: point.attributes["cache.name"] == alias
            )
            found.append(server.receiver.total(f"perfagent.cache.{name}", cache__name=alias).value)
        assert tuple(found) == counts, alias
    assert not any(point.attributes.get("cache.name") == "none" for point in server.receiver.points)


def test_every_request_had_one_span(server: Web) -> None:
    for _ in range(20):
        server.ask("/items/20/")
    server.server_spans("/items/20/", 20)
    server.receiver.wait_until_quiet(0.3)
    assert len(server.spans_of("/items/20/")) == 20


@pytest.mark.parametrize(
    ("pattern", "route"),
    [
        ("items/<int:number>/", "items/<int:number>/"),
        (r"^archive/(?P<year>[0-9]{4})/$", "archive/(?P<year>[0-9]{4})/"),
        (r"api/^v1/\Z", "api/v1/"),
    ],
)
def test_expressions_lose_their_anchors(pattern: str, route: str) -> None:
    assert template(pattern) == route


def test_the_test_client_answers_and_raises_as_it_did(receiver: Receiver, run_program: RunProgram) -> None:
    from tests.agent import agent_env
    from tests.web import ROOT

    code = """if True:
        from tests.apps import django_app
        from django.test import Client
        from django.core.cache import caches
        import pickle, inspect
        client = Client()
        print(client.get("/items/13/").json(), client.get("/nothing").status_code, client.get("/cached").json())
        try:
            client.get("/boom")
        except LookupError as error:
            print(error)
        print(inspect.signature(type(caches["default"]).get), inspect.signature(django_app.wsgi.__call__))
    """
    shown = run_program("perfagent", "run", "python", "-c", code, env=agent_env(receiver), cwd=ROOT).check()
    assert shown == run_program("python", "-c", code, cwd=ROOT).check()

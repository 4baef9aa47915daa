"""Flask: routes name the spans, unhandled errors are told, and one span a request whoever calls the application."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.otlp import Receiver
from tests.web import Web

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import RunProgram
    from tests.web import StartWeb


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """The program under gunicorn, below a DispatcherMiddleware."""
    with Receiver() as receiver:
        target = ("tests.apps.flask_app:dispatched", "-b", "127.0.0.1:PORT", "--no-control-socket", "--threads", "2")
        web = Web(receiver, tmp_path_factory.mktemp("server"), "gunicorn", *target)
        yield web
        web.program.stop()
        assert "perfagent:" not in web.program.stderr


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/items/7", "/items/<int:number>"),
        ("/outer/blue/inner/a/b", "/outer/<tenant>/inner/<path:rest>"),
        ("/folder/", "/folder/"),
        ("/static/nothing.css", "/static/<path:filename>"),
        ("/shop/items/8", "/shop/items/<int:number>"),
        ("/moved", "/moved"),
    ],
)
def test_a_request_is_named_by_its_rule_below_the_application_root(server: Web, path: str, route: str) -> None:
    server.ask(path)
    span = server.server_span(path)
    assert span.attributes["http.route"] == route
    assert span.name == f"GET {route}"


def test_the_prefix_that_a_proxy_tells_of_is_the_application_root(server: Web) -> None:
    response = server.ask("/proxied/where", X_Forwarded_Prefix="/behind", X_Forwarded_Host="shop.example")
    assert response.body == b"http://shop.example/behind/where"  # type: ignore[attr-defined]
    span = server.server_span("/proxied/where")
    assert span.attributes["http.route"] == "/behind/where"
    assert span.attributes["server.address"] == "shop.example"


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nothing", 404), ("POST", "/items/9", 405), ("GET", "/folder", 308)]
)
def test_a_request_that_no_rule_matches_has_no_route(server: Web, method: str, path: str, status: int) -> None:
    assert server.ask(path, method).status == status
    span = server.server_span(path)
    assert "http.route" not in span.attributes
    assert span.name == method
    assert span.status.code == "UNSET"


def test_a_view_is_the_parent_of_its_queries(server: Web) -> None:
    server.ask("/items/10")
    assert server.child(server.server_span("/items/10")).kind == "CLIENT"


@pytest.mark.parametrize("path", ["/stream", "/later", "/asynchronous"])
def test_a_query_in_a_stream_after_the_response_or_in_a_coroutine_belongs_to_the_request(
    server: Web, path: str
) -> None:
    assert server.ask(path).status == 200
    assert server.child(server.server_span(path)).kind == "CLIENT"


def test_an_unhandled_exception_is_recorded_once_with_its_type(server: Web) -> None:
    assert server.ask("/boom").status == 500
    span = server.server_span("/boom")
    assert span.attributes["error.type"] == "LookupError"
    assert span.attributes["http.response.status_code"] == 500
    assert span.status.code == "ERROR"
    (event,) = span.events
    assert event.attributes["exception.message"] == "nobody handles it"
    assert "in boom" in str(event.attributes["exception.stacktrace"])


def test_an_exception_with_a_handler_is_an_answer_like_any_other(server: Web) -> None:
    assert server.ask("/handled").status == 409
    span = server.server_span("/handled")
    assert not span.events
    assert span.status.code == "UNSET"
    assert "error.type" not in span.attributes


def test_a_view_that_answers_5xx_by_itself_is_an_error_by_its_status(server: Web) -> None:
    server.ask("/unavailable")
    span = server.server_span("/unavailable")
    assert (span.attributes["error.type"], span.status.code) == ("503", "ERROR")


def test_every_request_had_one_span(server: Web) -> None:
    for _ in range(20):
        server.ask("/shop/outer/red/inner/x")
    server.server_spans("/shop/outer/red/inner/x", 20)
    server.receiver.wait_until_quiet(0.3)
    assert len(server.spans_of("/shop/outer/red/inner/x")) == 20


def test_mounted_in_an_asgi_application_it_is_the_same_request(receiver: Receiver, start_web: StartWeb) -> None:
    web = start_web("uvicorn", "--factory", "tests.apps.flask_app:mounted", "--port", "PORT")
    web.ask("/old/1/items/11")
    web.ask("/old/1/boom")
    span, failed = web.server_span("/old/1/items/11"), web.server_span("/old/1/boom")
    assert span.attributes["http.route"] == "/old/{version}/items/<int:number>"
    assert web.child(span).kind == "CLIENT"
    assert failed.attributes["error.type"] == "LookupError"
    web.receiver.wait_until_quiet(0.3)
    assert len([span for span in receiver.spans if span.kind == "SERVER"]) == 2


def test_the_development_server_is_measured_once_too(start_web: StartWeb) -> None:
    web = start_web("flask", "--app", "tests.apps.flask_app:app", "run", "--port", "PORT")
    web.ask("/items/12")
    assert web.server_span("/items/12").attributes["http.route"] == "/items/<int:number>"
    assert len(web.spans_of("/items/12")) == 1


def test_the_test_client_is_measured_and_raises_as_it_did(receiver: Receiver, run_program: RunProgram) -> None:
    from tests.agent import agent_env
    from tests.web import ROOT

    code = """if True:
        from tests.apps.flask_app import app
        client = app.test_client()
        print(client.get("/items/13").json, client.get("/stream").data, client.head("/items/14").data)
        app.testing = True
        try:
            client.get("/boom")
        except LookupError as error:
            print(error.__traceback__.tb_next is not None, error)
        with app.test_request_context("/items/15"):
            from flask import request
            print(request.url_rule)
    """
    shown = run_program("perfagent", "run", "python", "-c", code, env=agent_env(receiver), cwd=ROOT).check()
    assert shown == run_program("python", "-c", code, cwd=ROOT).check()
    spans = [span for span in receiver.spans if span.kind == "SERVER"]
    assert [span.attributes["url.path"] for span in spans] == ["/items/13", "/stream", "/items/14", "/boom"]
    assert [event.attributes["exception.type"] for event in spans[3].events] == ["LookupError"]


def test_an_application_that_another_one_calls_in_its_request_has_a_span_of_its_own(
    receiver: Receiver, run_program: RunProgram
) -> None:
    from tests.agent import agent_env
    from tests.web import ROOT

    code = """if True:
        from flask import Flask
        from tests.apps.flask_app import app
        front = Flask("front")
        front.add_url_rule("/front", view_func=lambda: app.test_client().get("/items/16").data)
        front.test_client().get("/front")
    """
    run_program("perfagent", "run", "python", "-c", code, env=agent_env(receiver), cwd=ROOT).check()
    called, front = (span for span in receiver.spans if span.kind == "SERVER")
    assert (front.attributes["http.route"], called.attributes["http.route"]) == ("/front", "/items/<int:number>")
    assert called.parent_id == front.span_id

"""What a database's message quotes may be a value: it is not shown."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from perfagent.runtime.failure import Failure, shown
from tests.agent import agent_env

if TYPE_CHECKING:
    from tests.conftest import RunProgram
    from tests.otlp import Receiver


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            'duplicate key value violates unique constraint "users_pkey"\nDETAIL:  Key (id)=(1) already exists.',
            'duplicate key value violates unique constraint "users_pkey"',
        ),
        ("relation \"nowhere\" does not exist\nLINE 1: SELECT 'a'", 'relation "nowhere" does not exist'),
        ('column "a" of relation "b" does not exist', 'column "a" of relation "b" does not exist'),
        ('invalid input syntax for type integer: "a"b"', "invalid input syntax for type integer: ?"),
        ('syntax error at or near "FRM"', "syntax error at or near ?"),
        ("unterminated quoted string at or near \"'a b", "unterminated quoted string at or near ?"),
        ("Duplicate entry 'it's me' for key 'users.email'", "Duplicate entry ?"),
        ("Table 'shop.nowhere' doesn't exist", "Table ? doesn't exist"),
        ("… to use near 'FRM t WHERE pw = 'x'' at line 1", "… to use near ? at line 1"),
        ("UNIQUE constraint failed: users.email", "UNIQUE constraint failed: users.email"),
        ("no such table: nowhere", "no such table: nowhere"),
        ('unrecognized token: "\'abc"', "unrecognized token: ?"),
        ("The duplicate key value is (me (x)).", "The duplicate key value is ?."),
        ("", ""),
    ],
)
def test_a_message_loses_what_it_quotes_and_keeps_the_names_of_objects(message: str, expected: str) -> None:
    assert shown(message) == expected


def test_a_failure_tells_the_callers_and_keeps_neither_frames_nor_the_exception_alive() -> None:
    class WatchedError(Exception):
        alive = 0

        def __init__(self, *args: object) -> None:
            super().__init__(*args)
            type(self).alive += 1

        def __del__(self) -> None:
            type(self).alive -= 1

    def fail() -> Failure:
        try:
            raise WatchedError(1062, "Duplicate entry 'a' for key 'b'")
        except WatchedError as error:
            return Failure(error)

    failure = fail()
    assert WatchedError.alive == 0
    shown_as = dict(failure.items())
    assert shown_as["exception.type"].endswith("WatchedError")
    assert shown_as["exception.message"] == "Duplicate entry ?"
    lines = shown_as["exception.stacktrace"].splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-2].endswith("in fail")
    assert lines[-3].endswith("in test_a_failure_tells_the_callers_and_keeps_neither_frames_nor_the_exception_alive")
    assert lines[-1].endswith("WatchedError: Duplicate entry ?")


def test_a_query_that_fails_a_request_shows_no_values_on_the_request_either(
    receiver: Receiver, run_program: RunProgram, free_port: int
) -> None:
    program = run_program(
        "perfagent", "run", "uvicorn", "tests.apps.failing_app:app", "--port", str(free_port),
        env=agent_env(receiver), cwd=Path(__file__).parent.parent,
    )  # fmt: skip
    program.wait_for_port(free_port)
    for path in ("wrapped", "call"):
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"http://127.0.0.1:{free_port}/{path}", timeout=60)
    spans = receiver.wait_for_spans(2, where=lambda span: span.kind == "SERVER")
    assert all(event.name == "exception" for span in spans for event in span.events)
    assert all(len(span.events) == 1 for span in spans)
    assert "s3cret" not in repr(receiver.spans)

"""Secrets are taken out of what the program says in exceptions and logs, in time linear in the text."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from perfagent.runtime import scrub
from perfagent.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import RunText
    from tests.otlp import Receiver

SECRETS = [
    "password=hunter2", "{'password': 'hunter2'}", '{"api_key": "hunter2"}', r"{\"token\": \"hunter2\"}",
    "postgresql://joe:hunter2@db/x?sslmode=on", "https://hunter2@github.com/x", "Authorization: Bearer hunter2",
    "auth=('joe', 'hunter2')", "GET /x?token=hunter2&a=b", "Cookie: a=hunter2; b=hunter2", "MYSQL_PWD=hunter2",
    "os.environ['SECRET_KEY'] = 'hunter2'", "DB_PASSWORD: hunter2", "x-api-key: hunter2", "accessToken=hunter2",
    'password="hun\\"hunter2" x', "set-cookie: sid=hunter2; Path=/", "{b'password': b'hunter2'}", "pwd := hunter2",
    "connect(host='x', password='hunter2')", "Basic hunter2hunter2", "session_id=hunter2",
    "-----BEGIN RSA PRIVATE KEY-----\nhunter2", "ghp_hunter2hunter2hunter2hunter2", "sk-hunter2hunter2hunter2hunter2",
    "eyJhunter2hunter2.eyJhunter2hunter2.hunter2",
]  # fmt: skip
PLAIN = [
    "tokens: 512", "author=joe", "password is wrong", "at 1795908472984 ms", "4111 1111 1111 1112", "http://db:5432/x",
    "joe@example.com", "KeyError: 'name'", 'File "/srv/shop/auth.py", line 42, in login', "a=b&c=d",
    "12345678901234567890",
]  # fmt: skip


@pytest.fixture(autouse=True)
def defaults() -> Iterator[None]:
    yield
    scrub.configure(Settings({}))


@pytest.mark.parametrize("text", SECRETS)
def test_a_secret_is_replaced_and_the_rest_stays(text: str) -> None:
    found = scrub.text(f"before {text}\nafter")
    assert "hunter2" not in found
    assert scrub.REDACTED in found
    assert found.startswith("before ")
    assert "BEGIN" in text or found.endswith("after")


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_none_stays_as_it_is(text: str) -> None:
    assert scrub.text(text) == text


def test_card_numbers_are_replaced_where_their_last_digit_is_right() -> None:
    for card in ("4111111111111111", "5500 0000 0000 0004", "3400-000000-00009", "6011000000000004", "30000000000004"):
        assert scrub.text(f"card {card}.") == "card [REDACTED]."


def test_values_of_a_record_are_replaced_by_their_names() -> None:
    put = {"password": "x", "user": "joe", "inner": [{"api_key": 5, "url": "http://a:b@c"}], "token": "", "n": 1}
    assert scrub.values(put) == {
        "password": "[REDACTED]", "user": "joe", "inner": ({"api_key": "[REDACTED]", "url": "http://[REDACTED]@c"},),
        "token": "", "n": 1,
    }  # fmt: skip


def test_more_can_be_named_and_all_be_left() -> None:
    scrub.configure(Settings({"PERFAGENT_SCRUB_PATTERN": "cust-[0-9]{6}"}))
    assert scrub.text("of cust-123456, pwd=x") == "of [REDACTED], pwd=[REDACTED]"
    scrub.configure(Settings({"PERFAGENT_SCRUB": "off"}))
    assert scrub.text("pwd=x") == "pwd=x"
    settings = Settings({"PERFAGENT_SCRUB_PATTERN": "("})
    scrub.configure(settings)
    assert scrub.text("pwd=x") == "pwd=[REDACTED]"
    assert settings.problems == [
        "PERFAGENT_SCRUB_PATTERN is no regular expression: missing ), unterminated subpattern at position 0; going on "
        "without it"
    ]


@pytest.mark.parametrize(
    "part",
    ["a", "_", "4", "4 ", "password=", "://", "eyJ", "'", "\\", "-----BEGIN PRIVATE KEY-----", "a.", "pwd:\\'", "= "],
)
def test_a_long_text_takes_no_longer_than_its_length(part: str) -> None:
    def took(length: int) -> float:
        text = f"password{part * (length // len(part))}"
        best = float("inf")
        for _ in range(5):
            begin = time.thread_time()
            scrub.text(text)
            best = min(best, time.thread_time() - begin)
        return best

    assert took(160_000) < 40 * max(took(16_000), 1e-4)


def test_exceptions_and_log_records_are_sent_without_secrets(run_text: RunText, receiver: Receiver) -> None:
    code = """
    import logging
    from opentelemetry import trace
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        with trace.get_tracer("t").start_as_current_span("work"):
            raise ValueError("password=hunter2")
    except ValueError:
        logging.exception("token: hunter2")
    """
    run_text(code)
    (span,) = receiver.wait_for_spans(1)
    (record,) = receiver.wait_for_logs(1)
    assert span.events[0].attributes["exception.message"] == "password=[REDACTED]"
    assert record.body == "token: [REDACTED]"
    assert not [one for one in receiver.requests if b"password=hunter2" in one.body]
    receiver.requests.clear()
    run_text(code, PERFAGENT_SCRUB="off")
    assert [one for one in receiver.requests if b"password=hunter2" in one.body]

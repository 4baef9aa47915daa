"""openai: a span for each call of a model. The real client talks over a socket to a small server of its interface."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.agent import agent_env
from tests.models import ANSWER, serving
from tests.otlp import Receiver, Span
from tests.program import Program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.slow
APP = str(Path(__file__).parent / "apps" / "model_calls.py")
SECRETS = (ANSWER.encode(), b"canary-prompt", b"canary-key")
PREFIX = "gen_ai."


class Run:
    """One run of the program; under the agent unless it is bare."""

    def __init__(self, word: str, directory: Path, models: str, bare: bool = False, **more: str) -> None:
        with Receiver() as self.receiver:
            agent = () if bare else ("perfagent", "run")
            env = agent_env(self.receiver, MODELS=models, **more)
            program = Program((*agent, sys.executable, APP, word), directory, env)
            try:
                self.stdout = program.check(60)
            finally:
                program.stop()
            self.stderr = program.stderr
            self.receiver.wait_until_quiet(0.1)
        self.spans = sorted(self.receiver.spans, key=lambda span: span.start)

    def exported(self) -> bytes:
        bodies = [request.body for request in self.receiver.requests]
        return b"".join(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body for body in bodies)


@pytest.fixture(scope="module")
def models() -> Iterator[str]:
    with serving() as address:
        yield address


@pytest.fixture(scope="module")
def run(models: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """The run of one word, made once."""
    made: dict[str, Run] = {}

    def of(word: str) -> Run:
        if word not in made:
            made[word] = Run(word, tmp_path_factory.mktemp("models"), models)
        return made[word]

    return of


def usage(span: Span) -> tuple[object, ...]:
    names = ("input_tokens", "output_tokens", "cache_read.input_tokens", "reasoning.output_tokens")
    return tuple(span.attributes.get(f"gen_ai.usage.{name}") for name in names)


def test_each_call_is_one_span_with_its_models_and_tokens(run: Callable[[str], Run]) -> None:
    found = run("openai")
    names = ["chat parrot", "chat parrot", "chat parrot", "embeddings parrot-embed", "chat busy", "chat missing"]
    assert [span.name for span in found.spans] == names, "the requests below have none, nor has what is tried again"
    assert {span.kind for span in found.spans} == {"CLIENT"}
    chat, raw, response, embedding = found.spans[:4]
    for span in (chat, raw):
        told = span.attributes
        assert (told["gen_ai.operation.name"], told["gen_ai.provider.name"]) == ("chat", "openai")
        assert (told["gen_ai.request.model"], told["gen_ai.response.model"]) == ("parrot", "parrot-2026")
        assert (told["gen_ai.request.max_tokens"], told["gen_ai.request.temperature"]) == (64, 0.5)
        assert told["gen_ai.response.id"] == "chat-1"
        assert list(told["gen_ai.response.finish_reasons"]) == ["stop"]
        assert told["server.address"] == "127.0.0.1"
        assert usage(span) == (11, 7, 4, 3)
    assert usage(response) == (21, 9, 5, 2)
    assert list(response.attributes["gen_ai.response.finish_reasons"]) == ["completed"]
    assert usage(embedding) == (3, None, None, None)
    assert {span.status.code for span in found.spans[:5]} == {"UNSET"}


def test_a_call_that_is_refused_tells_the_exceptions_type_and_not_what_it_quotes(run: Callable[[str], Run]) -> None:
    missing = run("openai").spans[-1]
    assert (missing.status.code, missing.attributes["error.type"]) == ("ERROR", "openai.NotFoundError")
    assert ANSWER not in str(missing.events)


@pytest.mark.parametrize("word", ["openai_streams", "openai_in_loop"])
def test_a_streams_call_ends_with_the_stream_and_has_the_tokens_of_its_last_piece(
    run: Callable[[str], Run], word: str
) -> None:
    streams = [span for span in run(word).spans if span.attributes.get("gen_ai.request.stream")]
    whole, left = streams[:2]
    assert usage(whole)[:2] == (12, 8)
    assert list(whole.attributes["gen_ai.response.finish_reasons"]) == ["length"]
    first = whole.attributes["gen_ai.response.time_to_first_chunk"]
    assert 0 < first <= (whole.end - whole.start) / 1e9
    assert left.attributes["gen_ai.response.model"] == "parrot-2026", "closed by the program after the first piece"
    assert "gen_ai.response.finish_reasons" not in left.attributes


def test_a_stream_that_is_dropped_ends_its_call_and_one_of_events_tells_its_response(run: Callable[[str], Run]) -> None:
    _whole, _left, dropped, events = run("openai_streams").spans
    assert "gen_ai.response.model" not in dropped.attributes
    assert usage(events) == (21, 9, 5, 2)


def test_calls_at_the_same_time_in_one_loop_are_each_a_span_of_their_own_trace(run: Callable[[str], Run]) -> None:
    spans = run("openai_in_loop").spans
    assert len(spans) == 11
    assert len({span.trace_id for span in spans}) == 11


def test_the_metrics_are_those_of_the_conventions(run: Callable[[str], Run]) -> None:
    receiver = run("openai").receiver
    chat = {"gen_ai__operation__name": "chat", "gen_ai__request__model": "parrot"}
    assert receiver.total("gen_ai.client.operation.duration", **chat).count == 3
    tokens = receiver.total("gen_ai.client.token.usage", gen_ai__token__type="input", **chat)
    assert (tokens.count, tokens.sum) == (3, 11 + 11 + 21)
    failed = receiver.total("gen_ai.client.operation.duration", error__type="openai.NotFoundError")
    assert failed.count == 1
    assert run("openai_streams").receiver.total("gen_ai.client.operation.time_to_first_chunk").count == 3


@pytest.mark.parametrize("word", ["openai", "openai_streams", "openai_in_loop"])
def test_no_prompt_no_answer_and_no_key_leaves(run: Callable[[str], Run], word: str) -> None:
    exported = run(word).exported()
    assert [secret for secret in SECRETS if secret in exported] == []


@pytest.mark.nightly
@pytest.mark.parametrize("word", ["openai_streams", "openai_in_loop"])
def test_the_program_prints_the_same_without_the_agent(
    run: Callable[[str], Run], word: str, models: str, tmp_path: Path
) -> None:
    assert run(word).stdout == Run(word, tmp_path, models, bare=True).stdout
    assert "perfagent" not in run(word).stderr

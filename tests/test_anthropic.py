"""anthropic: a span for each message. The real client talks over a socket to a small server of its interface."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.models import serving
from tests.test_openai import SECRETS, Run, usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow
OURS = {"ANTHROPIC_OPEN_TELEMETRY": "false"}  # the client's own spans are off


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
            made[word] = Run(word, tmp_path_factory.mktemp("models"), models, **OURS)
        return made[word]

    return of


def test_each_message_is_one_span_and_what_is_cached_counts_as_input(run: Callable[[str], Run]) -> None:
    found = run("anthropic")
    assert [span.name for span in found.spans] == ["chat parrot"] * 3 + ["chat missing"]
    told = found.spans[0].attributes
    assert (told["gen_ai.provider.name"], told["gen_ai.response.model"]) == ("anthropic", "parrot-2026")
    assert list(told["gen_ai.response.finish_reasons"]) == ["end_turn"]
    assert usage(found.spans[0]) == (16, 6, 4, None)
    assert told["gen_ai.usage.cache_creation.input_tokens"] == 2
    assert found.spans[-1].attributes["error.type"] == "anthropic.NotFoundError"


@pytest.mark.parametrize("word", ["anthropic", "anthropic_in_loop"])
def test_a_streams_tokens_are_those_of_its_first_and_its_last_event(run: Callable[[str], Run], word: str) -> None:
    streams = [span for span in run(word).spans if span.attributes.get("gen_ai.request.stream")]
    assert len(streams) == 2, "one that the program reads itself, and one of the client's own way to read it"
    for span in streams:
        assert usage(span)[:2] == (10, 5)
        assert span.attributes["gen_ai.response.id"] == "msg-1"
        assert list(span.attributes["gen_ai.response.finish_reasons"]) == ["max_tokens"]
        assert span.attributes["gen_ai.response.time_to_first_chunk"] > 0


@pytest.mark.parametrize("word", ["anthropic", pytest.param("anthropic_in_loop", marks=pytest.mark.nightly)])
def test_where_the_client_makes_spans_itself_there_is_no_second_one_and_the_metrics_are_ours(
    models: str, word: str, tmp_path: Path
) -> None:
    found = Run(word, tmp_path, models)
    count = 4 if word == "anthropic" else 3
    assert {span.scope.name for span in found.spans} == {"com.anthropic.sdk.python"}
    assert len(found.spans) == count
    assert found.receiver.total("gen_ai.client.operation.duration").count == count
    assert found.receiver.total("gen_ai.client.token.usage", gen_ai__token__type="output").sum == 16


def test_no_text_leaves_and_the_program_prints_the_same(run: Callable[[str], Run], models: str, tmp_path: Path) -> None:
    exported = run("anthropic").exported() + run("anthropic_in_loop").exported()
    assert [secret for secret in SECRETS if secret in exported] == []
    assert run("anthropic").stdout == Run("anthropic", tmp_path, models, bare=True, **OURS).stdout

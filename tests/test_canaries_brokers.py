"""Secrets stay where they are, by way of brokers, Memcached, gRPC and language models, too."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests import canaries as secrets
from tests.agent import agent_env
from tests.canaries import CANARIES, check, files
from tests.models import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import RunProgram
    from tests.hubs import Home
    from tests.otlp import Receiver

pytestmark = pytest.mark.slow
SYSTEMS = {"memcached", "kafka", "rabbitmq", "grpc", "openai", "anthropic"}


@pytest.fixture
def told(kafka_broker: str, rabbitmq: str, memcached: str) -> Iterator[dict[str, Any]]:
    """Where the servers of the program are."""
    with serving(CANARIES["answer of a model"]) as models:
        yield {"kafka": kafka_broker, "rabbitmq": rabbitmq, "memcached": memcached, "models": models}


@pytest.mark.timeout(400)  # brokers start
def test_no_secret_is_in_what_is_sent_of_messages_of_calls_and_of_prompts(
    run_program: RunProgram, receiver: Receiver, told: dict[str, Any], tmp_path: Path
) -> None:
    flights = tmp_path / "flights"
    env = agent_env(receiver, PERFAGENT_FLIGHT_DIR=str(flights), PERFAGENT_LOGS_LEVEL="info")
    program = secrets.start(run_program, tmp_path, "canary_brokers", told, env)
    receiver.wait_for_metric("messaging.process.duration")
    check("flight file of a consumer", files(flights))
    (tmp_path / "release").touch()
    assert program.wait() == 0
    assert program.stderr == ""
    names = ("db.system.name", "messaging.system", "rpc.system.name", "gen_ai.provider.name")
    systems = {str(span.attributes.get(name)) for span in receiver.spans for name in names}
    assert systems >= SYSTEMS, systems
    for path in ("v1/traces", "v1/metrics", "v1/logs", "v1development/profiles"):
        sent = [request.body for request in receiver.requests if request.path == f"/{path}"]
        check(f"OTLP {path.partition('/')[2]} of brokers, gRPC and models", sent)


@pytest.mark.nightly
def test_no_secret_of_messages_calls_and_prompts_is_in_the_files_and_the_answers_of_a_hub(
    run_program: RunProgram, home: Home, told: dict[str, Any], tmp_path: Path
) -> None:
    env = home.env(OTEL_BSP_SCHEDULE_DELAY="100", OTEL_METRIC_EXPORT_INTERVAL="1000")
    program = secrets.start(run_program, tmp_path, "canary_brokers", told, env)
    deadline = time.monotonic() + 60
    while not home.get("logs?from=-1h", timeout=60)["items"]:
        assert time.monotonic() < deadline, program.stderr + home.log
        time.sleep(0.1)
    (tmp_path / "release").touch()
    assert program.wait() == 0
    traces = home.get("traces?from=-1h&limit=200", timeout=60)["items"]
    assert traces
    answers = [home.get(f"traces/{one['trace_id']}", timeout=60) for one in traces[:100]]
    answers += [home.get(f"{subject}?from=-1h", timeout=60) for subject in ("insights", "endpoints", "logs", "metrics")]
    check("answers of the hub on messages, calls and prompts", [json.dumps(one).encode() for one in answers])
    home.kill()
    check("files of the hub of messages, calls and prompts", files(home.folder))

"""gRPC: calls made and answered, of threads and of asyncio, of all four kinds, over a real connection."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from perfagent.hub.receive.operations import classify
from perfagent.instruments.grpc_server import given_up
from perfagent.runtime.rpc import RpcSpan, destination, peer
from perfagent.runtime.span import SERVER, Scope
from tests.agent import agent_env
from tests.otlp import Receiver, Span
from tests.program import Program

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import RunProgram

pytestmark = pytest.mark.slow
APP = str(Path(__file__).parent / "apps" / "grpc_calls.py")
CANARY = "canary-4711"


class Run:
    """One run of the program under the agent."""

    def __init__(self, stack: str, word: str, directory: Path, bare: bool = False, **env: str) -> None:
        with Receiver() as self.receiver:
            agent = () if bare else ("perfagent", "run")
            program = Program((*agent, sys.executable, APP, stack, word), directory, agent_env(self.receiver, **env))
            try:
                self.stdout = program.check(60)
            finally:
                program.stop()
            self.stderr = program.stderr
            self.receiver.wait_until_quiet(0.1)
        self.spans = sorted(self.receiver.spans, key=lambda span: span.start)
        self.calls = [span for span in self.spans if span.kind == "CLIENT" and "rpc.method" in span.attributes]
        self.answers = [span for span in self.spans if span.kind == "SERVER"]

    def answer(self, call: Span) -> Span:
        (found,) = [span for span in self.answers if span.parent_id == call.span_id]
        return found

    def exported(self) -> bytes:
        """Spans and metrics; what the program logs, which gRPC does with its exceptions, is the program's."""
        bodies = [request.body for request in self.receiver.requests if request.path != "/v1/logs"]
        return b"".join(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body for body in bodies)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Run]:
    """The run of one stack and word, made once."""
    made: dict[tuple[str, str], Run] = {}

    def of(stack: str, word: str) -> Run:
        if (stack, word) not in made:
            made[stack, word] = Run(stack, word, tmp_path_factory.mktemp("grpc"))
        return made[stack, word]

    return of


@pytest.mark.parametrize(
    ("stack", "word", "methods"),
    [
        ("threads", "kinds", ["Say", "Say", "Say", "Repeat", "Join", "Echo"]),
        ("threads", "registered", ["Say", "Say", "Say", "Repeat", "Join", "Echo"]),
        ("loop", "kinds", ["Say", "Repeat", "Join", "Echo"]),
        ("loop", "old", ["Say", "Repeat", "Join", "Echo"]),
    ],
)
def test_each_call_is_one_span_on_either_side_and_one_trace(
    run: Callable[[str, str], Run], stack: str, word: str, methods: list[str]
) -> None:
    found = run(stack, word)
    service = {"registered": "shop.Registered", "old": "shop.Old"}.get(word, "shop.Parrot")
    assert [span.name for span in found.calls] == [f"{service}/{method}" for method in methods]
    assert len(found.answers) == len(methods)
    for call in found.calls:
        answer = found.answer(call)
        assert (answer.name, answer.trace_id) == (call.name, call.trace_id)
        for span in (call, answer):
            told = span.attributes
            assert (told["rpc.system.name"], told["rpc.method"]) == ("grpc", span.name)
            assert (told["rpc.response.status_code"], span.status.code) == ("OK", "UNSET")
            assert "error.type" not in told
        assert call.attributes["server.address"] == "localhost"
        assert answer.attributes["network.peer.address"] in ("127.0.0.1", "::1")
        assert call.start <= answer.start
        queries = [span for span in found.spans if span.parent_id == answer.span_id]
        assert queries
        assert all(query.end <= answer.end for query in queries)
    assert not [span for span in found.spans if span.name == "SELECT" and not span.parent_id]


@pytest.mark.parametrize(("stack", "word"), [("threads", "kinds"), ("loop", "kinds"), ("loop", "old")])
def test_the_program_and_its_interceptors_see_what_they_would_without_the_agent(
    run: Callable[[str, str], Run], stack: str, word: str, tmp_path: Path
) -> None:
    found = run(stack, word)
    assert found.stdout == Run(stack, word, tmp_path, bare=True).stdout
    assert "perfagent" not in found.stderr


@pytest.mark.parametrize("stack", ["threads", "loop"])
def test_either_side_tells_how_a_call_ended(run: Callable[[str, str], Run], stack: str) -> None:
    found = run(stack, "outcomes")
    codes = ["UNKNOWN", "NOT_FOUND", "UNAVAILABLE", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "CANCELLED", "UNKNOWN"]
    assert [span.attributes["rpc.response.status_code"] for span in found.calls] == codes
    assert {span.status.code for span in found.calls} == {"ERROR"}
    answers = [found.answer(call) for call in found.calls]
    late = answers.pop(3)  # on a busy machine it may have taken so long to arrive that this looks like a change of mind
    assert late.attributes["rpc.response.status_code"] in ("DEADLINE_EXCEEDED", "CANCELLED")
    del codes[3]
    assert [span.attributes["rpc.response.status_code"] for span in answers] == codes
    failed = [span.attributes.get("error.type") for span in answers]
    assert failed == ["UNKNOWN", None, "UNAVAILABLE", "UNIMPLEMENTED", None, "UNKNOWN"]
    assert [span.status.code == "ERROR" for span in answers] == [bool(error) for error in failed]
    (event,) = answers[0].events
    assert event.attributes["exception.type"] == "LookupError"
    assert event.attributes["exception.message"] == "nobody knows ?"
    assert (answers[3].name, answers[3].attributes["rpc.method"]) == ("grpc", "_OTHER")
    assert answers[3].attributes["rpc.method_original"] == "shop.Parrot/Nothing"


@pytest.mark.parametrize("stack", ["threads", "loop"])
def test_what_an_interceptor_sends_again_is_a_call_of_its_own(run: Callable[[str, str], Run], stack: str) -> None:
    found = run(stack, "again")
    assert found.stdout.splitlines()[0] == "b'found'"
    assert [span.attributes["rpc.response.status_code"] for span in found.calls] == ["NOT_FOUND", "OK"]
    assert len(found.answers) == 2


def test_calls_within_calls_of_many_threads_stay_in_their_traces(run: Callable[[str, str], Run]) -> None:
    found = run("threads", "mixed")
    outer = [span for span in found.calls if span.name == "shop.Front/Pass"]
    assert len(outer) == 8
    for call in outer:
        front = found.answer(call)
        (inner,) = [span for span in found.calls if span.parent_id == front.span_id]
        assert {span.trace_id for span in (front, inner, found.answer(inner))} == {call.trace_id}


@pytest.mark.parametrize("stack", ["threads", "loop"])
def test_both_sides_make_the_metrics_of_the_conventions(run: Callable[[str, str], Run], stack: str) -> None:
    found = run(stack, "outcomes")
    for name in ("rpc.client.call.duration", "rpc.server.call.duration"):
        assert found.receiver.total(name).count == 7
        unavailable = {"rpc__response__status_code": "UNAVAILABLE", "error__type": "UNAVAILABLE"}
        assert found.receiver.total(name, **unavailable).count == 1
    points = found.receiver.metric("rpc.client.call.duration")
    assert {point.attributes["server.address"] for point in points} == {"localhost"}


def test_no_metadata_and_no_message_leaves(run: Callable[[str, str], Run]) -> None:
    for stack in ("threads", "loop"):
        for word in ("kinds", "outcomes"):
            assert CANARY.encode() not in run(stack, word).exported()


def test_the_hub_tells_calls_by_their_methods(run: Callable[[str, str], Run]) -> None:
    found = run("threads", "kinds")
    kinds = {
        classify(kind, span.name, span.attributes, "")[:2]
        for kind, spans in ((2, found.answers), (3, found.calls))
        for span in spans
        if span.name.endswith("Echo")
    }
    assert kinds == {("server", "shop.Parrot/Echo"), ("rpc", "shop.Parrot/Echo")}


def test_what_the_program_exports_by_grpc_itself_is_not_measured(
    run_program: RunProgram, receiver: Receiver, tmp_path: Path
) -> None:
    path = tmp_path / "own.py"
    path.write_text(
        "from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter\n"
        "from opentelemetry.sdk.trace import TracerProvider\n"
        "from opentelemetry.sdk.trace.export import SimpleSpanProcessor\n"
        "provider = TracerProvider()\n"
        "provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter('http://127.0.0.1:9', timeout=1)))\n"
        "provider.get_tracer('own').start_span('mine').end()\n"
        "import grpc\n"
        "with grpc.insecure_channel('127.0.0.1:9') as channel:\n"
        "    try:\n"
        "        channel.unary_unary('/shop.Parrot/Say')(b'')\n"
        "    except grpc.RpcError as error:\n"
        "        print(error.code().name)\n"
    )
    program = run_program("perfagent", "run", sys.executable, str(path), env=agent_env(receiver))
    assert program.check(30) == "UNAVAILABLE\n"
    receiver.wait_for_spans(1)
    receiver.wait_until_quiet(0.1)
    assert [span.name for span in receiver.spans] == ["shop.Parrot/Say"]


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("grpc.io:50051", ("grpc.io", 50051)),
        ("dns://1.2.3.4/grpc.io:50051", ("grpc.io", 50051)),
        ("dns:///grpc.io", ("grpc.io", 0)),
        ("unix:///run/containerd/containerd.sock", ("/run/containerd/containerd.sock", 0)),
        ("unix:relative.sock", ("relative.sock", 0)),
        ("zk://zookeeper:2181/my-server", ("zk://zookeeper:2181/my-server", 0)),
        ("ipv4:198.51.100.1:50051,198.51.100.2:50051", ("ipv4:198.51.100.1:50051,198.51.100.2:50051", 0)),
        ("ipv6:[::1]:50051", ("::1", 50051)),
        ("", ("", 0)),
    ],
)
def test_a_channels_target_is_read_by_the_rules_of_name_resolution(target: str, told: tuple[str, int]) -> None:
    assert destination(target) == told


@pytest.mark.parametrize(
    ("passed", "left", "code"),
    [(0.2, None, "CANCELLED"), (0.2, 0.0, "DEADLINE_EXCEEDED"), (0.2, 0.05, "DEADLINE_EXCEEDED"), (1, 5, "CANCELLED")],
)
def test_a_call_given_up_close_to_its_deadline_was_given_up_for_it(passed: float, left: float, code: str) -> None:
    span = RpcSpan(Scope("test"), SERVER, None, "/shop.Parrot/Say", "")
    span.started -= int(passed * 1e9)
    assert given_up(span, left) == code


def test_a_peer_is_read_as_grpc_tells_it() -> None:
    assert peer("ipv4:127.0.0.1:4711") == ("127.0.0.1", 4711)
    assert peer("ipv6:%5B::1%5D:4711") == ("::1", 4711)
    assert peer("unix:/run/it.sock") == ("/run/it.sock", 0)

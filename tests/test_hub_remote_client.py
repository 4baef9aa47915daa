"""Asking a remote: few requests at a time, each with an end, none to one that does not answer, and no secret told."""

from __future__ import annotations

import gzip
import http.server
import ssl
import threading
import time
from typing import TYPE_CHECKING

import pytest

from perfagent.hub.remote.address import address
from perfagent.hub.remote.client import AT_ONCE, Client
from perfagent.hub.remote.errors import BadAddress, RemoteError
from tests.remotes import Faulty
from tests.stack_spans import certificate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def client(url: str, timeout: float = 5, limit: int = 1 << 20, ca: str = "", **headers: str) -> Client:
    place = address("PERFAGENT_PROMETHEUS_URL", url, headers, ca)
    return Client("Prometheus", place, "PERFAGENT_PROMETHEUS_URL", timeout, limit)


@pytest.fixture
def faulty() -> Iterator[Faulty]:
    with Faulty() as server:
        yield server


def refusal(asked: Client, path: str = "/api/v1/query") -> RemoteError:
    with pytest.raises(RemoteError) as raised:
        asked.ask(path)
    return raised.value


class Answering:
    """A server with one answer, plain or packed, over HTTP or TLS."""

    def __init__(self, content: bytes, tls: ssl.SSLContext | None = None, **headers: str) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                self.send_response(200)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]

    def __enter__(self) -> Answering:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def test_an_answer_is_unpacked_and_its_connection_serves_again() -> None:
    with Answering(gzip.compress(b"[1, 2]"), Content_Encoding="gzip") as server:
        asked = client(f"http://127.0.0.1:{server.port}")
        assert [asked.ask("/x").body for _ in range(3)] == [b"[1, 2]"] * 3
        assert server.asked[0][1]["accept-encoding"] == "gzip"
    assert asked.health.outcomes == {"ok": 3}
    assert asked.health.bytes == 18
    assert sum(asked.health.counts) == 3


def test_the_path_of_the_address_is_kept_and_its_headers_are_sent() -> None:
    with Answering(b"{}") as server:
        url = f"http://ada:s%40crt@127.0.0.1:{server.port}/mimir/prometheus/"
        client(url, **{"X-Scope-OrgID": "team"}).ask("/api/v1/query?x=1")
        path, headers = server.asked[0]
    assert path == "/mimir/prometheus/api/v1/query?x=1"
    assert headers["authorization"] == "Basic YWRhOnNAY3J0"
    assert headers["x-scope-orgid"] == "team"


def test_a_header_that_is_set_wins_over_the_user_of_the_address() -> None:
    with Answering(b"{}") as server:
        client(f"http://ada:secret@127.0.0.1:{server.port}", Authorization="Bearer token").ask("/x")
        assert server.asked[0][1]["authorization"] == "Bearer token"


@pytest.mark.parametrize("url", ["http://ada:opensesame@127.0.0.1:1/base", "http://ada:opensesame@[::1]:1"])
def test_no_text_of_a_failure_has_the_password(url: str) -> None:
    asked = client(url)
    told = f"{refusal(asked)} {refusal(asked)} {asked.health} {asked.address}"
    assert "cannot be reached" in told
    assert "opensesame" not in told
    assert "ada" not in told


@pytest.mark.parametrize(
    "url", ["prometheus:9090", "ftp://prometheus", "http://", "http://host:port", "http://host/?token=x", "file:///x"]
)
def test_an_address_that_nobody_can_ask_is_refused_by_the_name_of_its_setting(url: str) -> None:
    with pytest.raises(BadAddress, match="PERFAGENT_PROMETHEUS_URL"):
        client(url)


@pytest.mark.parametrize("mode", ["hang", "trickle"])
def test_a_request_ends_in_time_however_the_remote_stalls(faulty: Faulty, mode: str) -> None:
    faulty.mode = mode
    asked = client(faulty.url, timeout=1)
    began = time.monotonic()
    assert refusal(asked).outcome == "timeout"
    assert time.monotonic() - began < 20  # the remote would go on for a minute
    assert "PERFAGENT_REMOTE_TIMEOUT" in asked.health.problem


def test_an_answer_without_an_end_is_cut_and_the_remote_is_asked_again_at_once(faulty: Faulty) -> None:
    faulty.mode = "huge"
    asked = client(faulty.url)
    error = refusal(asked)
    assert (error.outcome, error.is_too_much) == ("too_large", True)
    assert "PERFAGENT_REMOTE_MAX_BODY" in str(error)
    faulty.mode = "garbage"
    assert b"<html>" in asked.ask("/x").body  # it does answer: no rest is due


def test_what_is_small_only_while_it_is_packed_is_cut_too() -> None:
    with Answering(gzip.compress(b" " * 50_000_000), Content_Encoding="gzip") as server:
        assert refusal(client(f"http://127.0.0.1:{server.port}")).outcome == "too_large"


@pytest.mark.slow
def test_a_remote_that_has_too_much_to_do_is_left_alone_for_as_long_as_it_asks(faulty: Faulty) -> None:
    faulty.mode = "busy"
    asked = client(faulty.url)
    assert refusal(asked).outcome == "overloaded"
    assert 1 < asked.rests <= 2
    assert refusal(asked).outcome == "resting"
    assert len(faulty.asked) == 1
    faulty.mode = "garbage"
    time.sleep(asked.rests + 0.1)
    assert asked.ask("/x").status == 200
    assert asked.rests == 0


def test_a_redirect_is_not_followed_and_says_which_setting_to_change(faulty: Faulty) -> None:
    faulty.mode = "moved"
    told = str(refusal(client(faulty.url)))
    assert "redirects to metadata.internal" in told
    assert "PERFAGENT_PROMETHEUS_URL" in told
    assert "secret" not in told
    assert len(faulty.asked) == 1


def test_one_that_does_not_answer_is_asked_more_and_more_seldom_and_one_at_a_time(faulty: Faulty) -> None:
    faulty.mode = "down"
    asked = client(faulty.url)
    rests = []
    for _ in range(3):
        refusal(asked)
        rests.append(asked.rests)
        asked._rests_until = 0.0  # as if the time were over
    assert 0.4 <= rests[0] <= 1 < rests[2] <= 4
    faulty.mode, before = "hang", len(faulty.asked)
    together = [threading.Thread(target=refusal, args=(asked,)) for _ in range(5)]
    asked.timeout = 1
    for thread in together:
        thread.start()
    for thread in together:
        thread.join()
    assert len(faulty.asked) - before <= AT_ONCE  # one that tries whether it is back, and no crowd


def test_no_more_than_two_requests_are_under_way(faulty: Faulty) -> None:
    faulty.mode = "hang"
    asked = client(faulty.url, timeout=1)
    outcomes: list[str] = []
    together = [threading.Thread(target=lambda: outcomes.append(refusal(asked).outcome)) for _ in range(8)]
    for thread in together:
        thread.start()
    for thread in together:
        thread.join()
    assert faulty.most_under_way == AT_ONCE
    assert outcomes.count("timeout") == AT_ONCE
    assert set(outcomes) <= {"timeout", "busy", "resting"}


def test_the_end_of_the_hub_ends_what_is_under_way(faulty: Faulty) -> None:
    faulty.mode = "hang"
    asked = client(faulty.url, timeout=60)
    thread = threading.Thread(target=refusal, args=(asked,))
    thread.start()
    while not faulty.under_way:
        time.sleep(0.01)
    asked.stop()
    thread.join(20)
    assert not thread.is_alive()


@pytest.mark.slow
def test_tls_is_checked_against_the_certificates_of_the_setting(tmp_path: Path) -> None:
    certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "certificate_file", tmp_path / "key_file")
    with Answering(b"{}", tls) as server:
        url = f"https://127.0.0.1:{server.port}"
        told = refusal(client(url))
        assert "PERFAGENT_REMOTE_CA_FILE" in str(told)
        assert client(url, ca=str(tmp_path / "ca_file")).ask("/x").body == b"{}"


def test_a_file_of_certificates_that_is_none_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(BadAddress, match="PERFAGENT_REMOTE_CA_FILE"):
            client("https://prometheus", ca=str(path))

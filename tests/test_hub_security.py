"""Who may ask the hub: Host, Origin, tokens, the page's cookie, roles, limits, and what every answer carries."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import httpx
import pytest

from perfagent.hub.api import login, security
from perfagent.hub.api.limits import Rates
from tests.hub import PREFIX, ServedHub, logs, record, resource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.hub import ServeHub


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHub]:
    """A hub on the loopback address, shared by tests that change nothing."""
    with ServedHub(tmp_path_factory.mktemp("hub"), PERFAGENT_HUB_ALLOWED_HOSTS="hub.example") as hub:
        yield hub


def cookie(hub: ServedHub) -> dict[str, str]:
    """The header of a browser that a link has let in."""
    return {"Cookie": f"{login.COOKIE}={login.session(hub.access)}"}


def own_origin(hub: ServedHub) -> dict[str, str]:
    return {"Origin": hub.url}


def error(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


class TestHost:
    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1:80", "[::1]:4318", "LOCALHOST:1", "hub.example:443"])
    def test_the_own_names_are_answered(self, closed: ServedHub, host: str) -> None:
        assert closed.client.get("/health", headers={"Host": host}).status_code == 200

    @pytest.mark.parametrize("path", ["/", "/health", f"{PREFIX}/me", "/v1/traces", "/app.js"])
    @pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "", "192.0.2.1"])
    def test_a_foreign_host_is_refused_everywhere(self, closed: ServedHub, host: str, path: str) -> None:
        response = closed.client.get(path, headers={"Host": host, **closed.bearer("admin")})
        assert error(response) == (403, "foreign_host")

    def test_one_that_listens_everywhere_answers_to_addresses_but_to_no_foreign_name(self, serve_hub: ServeHub) -> None:
        hub = serve_hub(PERFAGENT_HUB_HOST="0.0.0.0")
        assert hub.client.get("/health", headers={"Host": "192.0.2.1:4318"}).status_code == 200
        assert hub.client.get("/health", headers={"Host": "evil.example"}).status_code == 403


class TestOrigin:
    @pytest.mark.parametrize(
        "origin", ["https://evil.example", "null", "http://localhost:1", "http://127.0.0.1:9.evil"]
    )
    def test_pages_of_others_are_refused_with_the_right_token(self, closed: ServedHub, origin: str) -> None:
        for path in (f"{PREFIX}/me", "/health", "/", "/v1/traces"):
            response = closed.client.get(path, headers={"Origin": origin, **closed.bearer("admin")})
            assert error(response) == (403, "foreign_origin")

    def test_the_own_page_is_answered(self, closed: ServedHub) -> None:
        response = closed.client.get(f"{PREFIX}/me", headers={**own_origin(closed), **cookie(closed)})
        assert response.json()["data"] == {"role": "admin", "takes_telemetry": True}

    def test_no_other_page_is_told_that_it_may_read(self, closed: ServedHub) -> None:
        headers = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "GET"}
        response = closed.client.options(f"{PREFIX}/me", headers=headers)
        assert response.status_code == 403
        assert "access-control-allow-origin" not in response.headers

    def test_the_programs_own_pages_may_send_what_they_measured(self, closed: ServedHub) -> None:
        body = {"page": "/", "type": "lcp", "value": 10.0}
        for origin, status in (("http://localhost:3000", 202), ("https://evil.example", 403)):
            response = closed.client.post("/v1/client", json=body, headers={"Origin": origin})
            assert response.status_code == status


class TestTokens:
    PATHS = ("services", "hub", "logs", "metrics", "audit", "realtime", "me", "nowhere")

    @pytest.mark.parametrize("path", [*(f"{PREFIX}/{path}" for path in PATHS), "/metrics", "/breaker", "/openapi.json"])
    def test_nothing_is_revealed_without_a_token(self, closed: ServedHub, path: str) -> None:
        wrong = ("", "Bearer", "Bearer admin.0000", "Bearer x", "Basic YWRtaW46YWRtaW4=", "Bearer admin.\u00e9")
        for header in wrong:
            headers = [(b"authorization", header.encode())] if header else []
            response = httpx.get(f"{closed.url}{path}", headers=headers)
            assert error(response) == (401, "unauthenticated")
            assert response.headers["www-authenticate"].startswith("Bearer")

    def test_a_request_without_a_token_is_not_told_whether_its_form_is_right(self, closed: ServedHub) -> None:
        assert closed.client.get(f"{PREFIX}/logs?limit=x").status_code == 401
        assert closed.client.post(f"{PREFIX}/metrics", content=b"{").status_code == 401

    def test_every_role_may_do_what_the_lesser_ones_may(self, closed: ServedHub) -> None:
        body = {"page": "/", "type": "lcp", "value": 10.0}
        allowed = {
            role: (
                closed.ask("metrics", role, "POST", json=body).status_code == 202,
                closed.ask("services", role).status_code == 200,
                closed.ask("services", role, "POST").status_code == 405,
                closed.ask("audit", role).status_code == 200,
            )
            for role in ("agent", "viewer", "operator", "admin")
        }
        assert allowed == {
            "agent": (True, False, False, False),
            "viewer": (True, True, False, False),
            "operator": (True, True, True, False),
            "admin": (True, True, True, True),
        }

    def test_a_role_that_may_not_is_told_which_one_may(self, closed: ServedHub) -> None:
        response = closed.ask("audit", "viewer")
        assert error(response) == (403, "forbidden")
        assert "admin" in response.json()["error"]["message"]

    def test_telemetry_needs_a_token_only_where_the_hub_listens_beyond_this_machine(
        self, closed: ServedHub, serve_hub: ServeHub
    ) -> None:
        body = logs(resource("shop"), record("hello"))
        assert closed.client.post("/v1/logs", json=body).status_code == 200
        hub = serve_hub(PERFAGENT_HUB_HOST="0.0.0.0")
        assert hub.client.post("/v1/logs", json=body).status_code == 401
        assert hub.client.post("/v1/logs", json=body, headers=hub.bearer("agent")).status_code == 200


class TestLogin:
    def test_a_link_sets_a_cookie_that_scripts_and_other_sites_cannot_use(self, closed: ServedHub) -> None:
        response = closed.client.get(f"/?code={closed.access.code()}")
        assert (response.status_code, response.headers["location"]) == (303, "/")
        told = response.headers["set-cookie"]
        assert "HttpOnly" in told
        assert "samesite=strict" in told.lower()
        assert "Path=/" in told
        with httpx.Client(base_url=closed.url) as browser:
            browser.get(f"/?code={closed.access.code()}")
            assert browser.get(f"{PREFIX}/me").json()["data"] == {"role": "admin", "takes_telemetry": True}
            browser.get("/logout")
            assert browser.get(f"{PREFIX}/me").status_code == 401

    def test_the_cookie_holds_no_token(self, closed: ServedHub) -> None:
        value = login.session(closed.access)
        for role in ("agent", "viewer", "operator", "admin"):
            assert closed.access.token(role).partition(".")[2] not in value
        assert closed.client.get(f"{PREFIX}/me", headers={"Authorization": f"Bearer {value}"}).status_code == 401

    def test_a_link_ends_and_so_does_a_cookie(self, closed: ServedHub) -> None:
        late = closed.access.code(time.time() - 3600)
        for code in (late, "", "x", "ffffffff-00", f"{closed.access.code()}0"):
            response = closed.client.get("/", params={"code": code})
            assert response.status_code == 401
            assert "set-cookie" not in response.headers
            assert "This link has ended" in response.text
        old = login.session(closed.access, time.time() - login.COOKIE_SECONDS - 60)
        for value in (old, "", "x", f"ffffffffff-{old.partition('-')[2]}", closed.access.code()):
            response = httpx.get(f"{closed.url}{PREFIX}/me", headers={"Cookie": f"{login.COOKIE}={value}"})
            assert response.status_code == 401

    def test_a_change_with_the_cookie_needs_the_pages_own_origin(self, closed: ServedHub) -> None:
        body = {"page": "/", "type": "lcp", "value": 10.0}
        url = f"{PREFIX}/metrics"
        assert error(closed.client.post(url, json=body, headers=cookie(closed))) == (403, "forbidden")
        foreign = {**cookie(closed), "Origin": "http://localhost:3000"}
        assert error(closed.client.post(url, json=body, headers=foreign)) == (403, "foreign_origin")
        own = {**cookie(closed), **own_origin(closed)}
        assert closed.client.post(url, json=body, headers=own).status_code == 202

    def test_the_cookie_sends_no_telemetry(self, serve_hub: ServeHub) -> None:
        hub = serve_hub(PERFAGENT_HUB_HOST="0.0.0.0")
        response = hub.client.post("/v1/logs", json={"resourceLogs": []}, headers={**cookie(hub), **own_origin(hub)})
        assert response.status_code == 401


class TestAnswers:
    @pytest.mark.parametrize("path", ["/", "/app.js", "/nothing", "/health", f"{PREFIX}/me", "/?code=x", "/v1/traces"])
    def test_every_answer_tells_browsers_to_trust_nothing_else(self, closed: ServedHub, path: str) -> None:
        headers = closed.client.get(path).headers
        policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-frame-options"] == "DENY"
        assert "cache-control" in headers
        assert "server" not in headers

    def test_answers_of_the_interface_are_kept_by_nobody_but_the_asker(self, closed: ServedHub) -> None:
        assert closed.ask("services").headers["cache-control"] == "private, no-cache"
        assert closed.ask("nowhere").headers["cache-control"] == "no-store"

    def test_a_body_that_is_too_large_is_not_read(self, closed: ServedHub) -> None:
        def pieces() -> Iterator[bytes]:
            for _ in range(40):
                yield b" " * 65_536

        headers = {"Content-Type": "application/json"}
        large = b" " * (security.BODY + 1)
        for content in (large, pieces()):
            response = closed.ask("metrics", "operator", "POST", content=content, headers=headers)
            assert error(response) == (413, "too_large")


class TestLimits:
    def test_wrong_tokens_are_slowed_down_and_right_ones_are_not(self, serve_hub: ServeHub) -> None:
        hub = serve_hub(Rates(failures="5/day"))
        wrong = {"Authorization": "Bearer admin.0000"}
        found = [hub.client.get(f"{PREFIX}/me", headers=wrong).status_code for _ in range(7)]
        assert found == [401] * 5 + [429] * 2
        assert hub.ask("me").status_code == 200

    def test_wrong_links_are_slowed_down(self, serve_hub: ServeHub) -> None:
        hub = serve_hub(Rates(failures="3/day"))
        assert [hub.client.get("/?code=x").status_code for _ in range(5)] == [401, 401, 401, 429, 429]
        assert hub.client.get(f"/?code={hub.access.code()}").status_code == 303

    def test_changes_have_a_limit_of_their_own(self, serve_hub: ServeHub) -> None:
        hub = serve_hub(Rates(changes="2/day"))
        assert [hub.ask("services", "admin", "POST").status_code for _ in range(3)] == [405, 405, 429]
        assert hub.ask("services").status_code == 200

    def test_streams_may_not_be_opened_too_often(self, serve_hub: ServeHub) -> None:
        hub = serve_hub(Rates(streams="2/day"))
        found = []
        for _ in range(3):
            with hub.client.stream("GET", f"{PREFIX}/realtime", headers=hub.bearer("viewer")) as response:
                found.append(response.status_code)
        assert found == [200, 200, 429]


class TestAudit:
    def test_a_change_is_in_the_audit_log_with_who_did_it(self, hub: ServedHub) -> None:
        hub.send("logs", logs(resource("shop", telemetry__sdk__name="perfagent"), record("hello", ago=0)))
        body = {"command": "sampling_ratio", "value": 0.5}
        response = hub.ask("agents/shop-1/commands", "operator", "POST", json=body)
        assert response.status_code in (200, 201, 202), response.text
        (entry,) = hub.get("audit", "admin")["items"]
        assert (entry["role"], entry["client"]) == ("operator", "127.0.0.1")
        assert "shop-1" in entry["subject"]
        assert entry["time"] == pytest.approx(time.time(), abs=30)

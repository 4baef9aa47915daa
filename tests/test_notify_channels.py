"""What each kind of channel sends, as real receivers get it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.notify_story import TRACE, declare, deliveries, event, settled
from tests.receivers import Answer, Authority, MailServer, Proxy, Webhook, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.hub import ServedHub, ServeHub

SLACK = "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
NASTY = 'GET /<!channel> <script>alert(1)</script> *bold* [x](http://evil) & "q"'


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """An authority that requests and smtplib trust in this test."""
    for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, str(authority.file))
    return authority


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with Webhook() as receiver:
        yield receiver


def test_a_webhook_gets_the_event_with_all_its_figures(hub: ServedHub, webhook: Webhook) -> None:
    declare(
        hub,
        f"""
        [[channel]]
        name = "hook"
        kind = "webhook"
        url = "{webhook.url}/alerts?tenant=a%20b"
        headers = {{ Authorization = "Bearer of-the-hook" }}
        """,
    )
    told = event()
    hub.hub.notifier.take([told])
    (request,) = webhook.wait(1)
    assert (request.method, request.path) == ("POST", "/alerts?tenant=a+b")
    assert request.headers["Authorization"] == "Bearer of-the-hook"
    assert request.headers["Content-Type"] == "application/json"
    body = request.json
    assert body["id"] == told.id
    assert body["happening"] == "fired"
    assert body["type"] == "failure"
    assert body["title"] == body["headline"] == "Critical: Failing requests in shop"
    assert body["incident"]["id"] == told.incident.id
    assert body["incident"]["since"] == told.incident.since
    assert body["incident"]["until"] is None
    (shown,) = body["incident"]["violations"]
    assert (shown["rule"], shown["worst"], shown["limit"], shown["unit"]) == ("error_rate_percent", 12.0, 5.0, "%")
    assert body["link"] == f"http://127.0.0.1:4318/#/incidents/{told.incident.id}"
    assert body["traces"] == [f"http://127.0.0.1:4318/#/traces/{TRACE}"]
    assert body["runbook"] == "docs/runbooks/FailingRequests.md"
    for part in ("the database does not answer", "look at the errors", "12 %", body["link"]):
        assert part in body["message"]
    (logged,) = settled(hub)
    assert (logged["state"], logged["attempts"], logged["error"]) == ("delivered", 1, "")


def test_links_lead_to_the_public_address(serve_hub: ServeHub, webhook: Webhook) -> None:
    hub = serve_hub(PERFAGENT_HUB_PUBLIC_URL="https://perf.example.com/")
    declare(hub, f'[[channel]]\nname = "hook"\nkind = "webhook"\nurl = "{webhook.url}"\n')
    hub.hub.notifier.take([event()])
    assert webhook.wait(1)[0].json["link"] == "https://perf.example.com/#/incidents/0000000000000001"


def test_what_is_over_goes_where_its_beginning_went_and_says_how_long_it_lasted(
    hub: ServedHub, webhook: Webhook
) -> None:
    declare(
        hub,
        f"""
        [[channel]]
        name = "all"
        kind = "webhook"
        url = "{webhook.url}/all"
        [[channel]]
        name = "severe"
        kind = "webhook"
        url = "{webhook.url}/severe"
        severity = "critical"
        """,
    )
    hub.hub.notifier.take([event(severity="warning")])
    hub.hub.notifier.take([event("resolved", severity="warning", lasted=750)])
    paths = [(one.path, one.json["happening"], one.json["type"]) for one in webhook.wait(2)]
    assert paths == [("/all", "fired", "warning"), ("/all", "resolved", "success")]
    assert webhook.requests[1].json["title"] == "Resolved after 12 min: Failing requests in shop"
    assert len(settled(hub, 2)) == 2


def test_no_redirect_is_followed_with_a_secret_in_its_headers(hub: ServedHub, webhook: Webhook) -> None:
    with Webhook() as elsewhere:
        for status in (301, 302, 307, 308):
            webhook.answers.append(Answer(status, headers={"Location": f"{elsewhere.url}/stolen"}))
        declare(
            hub,
            f"""
            [[channel]]
            name = "hook"
            kind = "webhook"
            url = "{webhook.url}"
            headers = {{ X-Key = "of-the-hook" }}
            """,
        )
        hub.hub.notifier.take([event()])
        assert settled(hub)[0]["attempts"] == 5
        assert elsewhere.requests == []


def test_a_mail_goes_by_starttls_with_a_login(hub: ServedHub, trusted: Authority) -> None:
    with MailServer(trusted.context("127.0.0.1"), "ops", "pa ss/w@rd:+%41") as server:
        declare(
            hub,
            f"""
            [[channel]]
            name = "mail"
            kind = "email"
            host = "127.0.0.1"
            port = {server.port}
            user = "ops"
            password = "pa ss/w@rd:+%41"
            from = "perfagent@example.com"
            to = ["ada@example.com", "bob@example.com"]
            """,
        )
        hub.hub.notifier.take([event(title=NASTY)])
        assert settled(hub)[0]["state"] == "delivered", deliveries(hub)
        assert server.logins[0] == ("ops", "pa ss/w@rd:+%41")
        assert all(server.encrypted)
        assert sorted(one["X-Recipients"] for one in server.messages) == ["ada@example.com", "bob@example.com"]
        mail = server.messages[0]
        assert mail["From"] == "perfagent <perfagent@example.com>"
        assert mail["Subject"] == f"Critical: {NASTY} (shop)"
        page, plain = (mail.get_body((kind,)).get_content() for kind in ("html", "plain"))
        assert "<script>" not in page
        assert "&lt;script&gt;" in page
        link = "http://127.0.0.1:4318/#/incidents/0000000000000001"
        assert f'href="{link}"' in page
        for part in ("the database does not answer", "look at the errors of GET /orders", "12 %"):
            assert part in page
            assert part in plain


def test_a_mail_goes_by_tls_from_the_first_byte_and_in_the_clear_where_that_is_asked_for(
    hub: ServedHub, trusted: Authority
) -> None:
    with MailServer(trusted.context("127.0.0.1"), implicit=True) as sealed, MailServer() as clear:
        declare(
            hub,
            f"""
            [[channel]]
            name = "sealed"
            kind = "email"
            host = "127.0.0.1"
            port = {sealed.port}
            security = "tls"
            from = "perfagent@example.com"
            to = ["ada@example.com"]
            [[channel]]
            name = "clear"
            kind = "email"
            host = "127.0.0.1"
            port = {clear.port}
            security = "none"
            from = "perfagent@example.com"
            to = "ada@example.com"
            """,
        )
        hub.hub.notifier.take([event()])
        assert {one["state"] for one in settled(hub, 2)} == {"delivered"}, deliveries(hub)
        assert [len(server.messages) for server in (sealed, clear)] == [1, 1]


def test_a_mail_server_whose_certificate_is_not_trusted_gets_no_password(hub: ServedHub, authority: Authority) -> None:
    with MailServer(authority.context("127.0.0.1"), "ops", "secret-of-mail") as server:
        declare(
            hub,
            f"""
            [[channel]]
            name = "mail"
            kind = "email"
            host = "127.0.0.1"
            port = {server.port}
            user = "ops"
            password = "secret-of-mail"
            from = "perfagent@example.com"
            to = ["ada@example.com"]
            """,
        )
        hub.hub.notifier.take([event()])
        until(lambda: deliveries(hub)[0]["attempts"] >= 2)
        assert "certificate" in deliveries(hub)[0]["error"].lower()
        assert (server.logins, server.messages) == ([], [])


def test_a_mail_server_that_refuses_is_told_with_its_reason(hub: ServedHub) -> None:
    with MailServer() as server:
        server.refusal = "451 greylisted, come back later"
        declare(
            hub,
            f"""
            [[channel]]
            name = "mail"
            kind = "email"
            host = "127.0.0.1"
            port = {server.port}
            security = "none"
            from = "perfagent@example.com"
            to = ["ada@example.com"]
            """,
        )
        hub.hub.notifier.take([event()])
        until(lambda: "greylisted" in deliveries(hub)[0]["error"], lambda: str(deliveries(hub)))
        server.refusal = ""
        assert settled(hub)[0]["state"] == "delivered"
        assert len(server.messages) == 1


@pytest.fixture
def proxy(trusted: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """What stands in the place of every host on the internet."""
    with Proxy(trusted.context) as found:
        monkeypatch.setenv("HTTPS_PROXY", found.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield found


def test_slack_gets_blocks_by_its_schema(hub: ServedHub, proxy: Proxy) -> None:
    declare(hub, f'[[channel]]\nname = "slack"\nkind = "slack"\nwebhook = "{SLACK}"\n')
    hub.hub.notifier.take([event(title=NASTY)])
    assert settled(hub)[0]["state"] == "delivered", deliveries(hub)
    (request,) = proxy.requests
    assert (request.host, request.method) == ("hooks.slack.com", "POST")
    assert request.path == SLACK.removeprefix("https://hooks.slack.com")
    assert request.headers["Content-Type"].startswith("application/json")
    (attachment,) = request.json["attachments"]
    assert attachment["color"][0] == "#"
    assert len(attachment["color"]) == 7
    header, section, context = attachment["blocks"]
    # https://docs.slack.dev/reference/block-kit/blocks: a header has plain_text of up to 150 characters, a section
    # text of up to 3,000, a context up to 10 elements.
    assert (header["type"], header["text"]["type"]) == ("header", "plain_text")
    assert set(header) <= {"type", "text", "block_id"}
    assert set(header["text"]) <= {"type", "text", "emoji"}
    assert 0 < len(header["text"]["text"]) <= 150
    assert (section["type"], section["text"]["type"]) == ("section", "mrkdwn")
    assert set(section["text"]) <= {"type", "text", "emoji", "verbatim"}
    assert 0 < len(section["text"]["text"]) <= 3000
    assert (context["type"], len(context["elements"])) == ("context", 1)
    text = section["text"]["text"]
    assert "*Cause:* the database does not answer" in text
    assert "<http://127.0.0.1:4318/#/incidents/0000000000000001|Open the page>" in text
    assert f"<http://127.0.0.1:4318/#/traces/{TRACE}|trace 1>" in text


def test_what_a_program_calls_itself_calls_nobody_in_slack(hub: ServedHub, proxy: Proxy) -> None:
    declare(hub, f'[[channel]]\nname = "slack"\nkind = "slack"\nwebhook = "{SLACK}"\n')
    hub.hub.notifier.take([event(title=NASTY, text="at <!channel> and <@U012AB3CD>, &lt;!here&gt;", advice="<!here>")])
    settled(hub)
    blocks = proxy.requests[0].json["attachments"][0]["blocks"]
    told = json.dumps(blocks)
    assert "<!" not in told
    assert "<@" not in told
    assert "&lt;!channel&gt; and &lt;@U012AB3CD&gt;, &amp;lt;!here&amp;gt;" in told


def test_a_long_message_for_slack_stays_within_its_limits(hub: ServedHub, proxy: Proxy) -> None:
    declare(
        hub,
        f'[[channel]]\nname = "slack"\nkind = "slack"\nwebhook = "{SLACK}"\n'
        'template = "{% for i in range(200) %}{{ title }} {{ i }}\\n{% endfor %}"\n',
    )
    hub.hub.notifier.take([event(title="x" * 3000)])
    settled(hub)
    header, section, _context = proxy.requests[0].json["attachments"][0]["blocks"]
    assert len(header["text"]["text"]) <= 150
    assert 2000 < len(section["text"]["text"]) <= 3000


def test_pagerduty_opens_one_incident_and_closes_the_same(hub: ServedHub, proxy: Proxy) -> None:
    key = "0123456789abcdef0123456789ABCDEF"
    declare(hub, f'[[channel]]\nname = "pager"\nkind = "pagerduty"\nrouting_key = "{key}"\nregion = "eu"\n')
    hub.hub.notifier.take([event()])
    hub.hub.notifier.take([event("worsened")])
    hub.hub.notifier.take([event("resolved", lasted=60)])
    assert [one["state"] for one in settled(hub, 3)] == ["delivered"] * 3, deliveries(hub)
    fired, worse, over = (one.json for one in proxy.requests)
    assert {(one.host, one.path) for one in proxy.requests} == {("events.eu.pagerduty.com", "/v2/enqueue")}
    # https://developer.pagerduty.com/docs/send-alert-event: routing_key, event_action, dedup_key and a payload with
    # summary (up to 1,024 characters), source and severity.
    assert {one["routing_key"] for one in (fired, worse, over)} == {key}
    assert {one["dedup_key"] for one in (fired, worse, over)} == {"0000000000000001"}
    assert [one["event_action"] for one in (fired, worse, over)] == ["trigger", "trigger", "resolve"]
    payload = fired["payload"]
    assert payload["summary"] == "Critical: Failing requests in shop"
    assert (payload["severity"], payload["source"], payload["component"]) == ("critical", "shop", "shop")
    assert payload["custom_details"]["cause"] == "the database does not answer"
    assert fired["links"] == [{"href": "http://127.0.0.1:4318/#/incidents/0000000000000001"}]


def test_teams_gets_an_adaptive_card(hub: ServedHub, trusted: Authority) -> None:
    with Webhook(trusted.context("127.0.0.1")) as teams:
        flow = "/workflows/643e69f83c8944438d68119179a10a64/triggers/manual/paths/invoke"
        url = f"{teams.url}{flow}?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=KODuebWbDGYFr0z0eu-6R"
        declare(hub, f'[[channel]]\nname = "teams"\nkind = "teams"\nwebhook = "{url}"\n')
        hub.hub.notifier.take([event(title=NASTY, text="<at>everybody</at>")])
        assert settled(hub)[0]["state"] == "delivered", deliveries(hub)
        (request,) = teams.requests
        assert request.path.partition("?")[0] == flow
        assert "sig=KODuebWbDGYFr0z0eu-6R" in request.path
        body = request.json
        assert body["type"] == "message"
        (attachment,) = body["attachments"]
        assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
        card: dict[str, Any] = attachment["content"]
        assert (card["type"], card["$schema"]) == ("AdaptiveCard", "http://adaptivecards.io/schemas/adaptive-card.json")
        assert "entities" not in card["msteams"]  # nobody is called by what a program says
        title, text = card["body"]
        assert (title["type"], text["type"], text["wrap"]) == ("TextBlock", "TextBlock", True)
        assert title["text"].startswith("Critical: GET /")
        assert "&lt;at&gt;" in text["text"]
        assert "[Open the page](http://127.0.0.1:4318/#/incidents/0000000000000001)" in text["text"]


def test_any_other_service_of_apprise_is_told_by_its_url(serve_hub: ServeHub, webhook: Webhook) -> None:
    token = "AbCdEf123456789"
    hub = serve_hub(
        PERFAGENT_ALERT_CHANNELS=f"gotify://127.0.0.1:{webhook.port}/{token} form://127.0.0.1:{webhook.port}/f"
    )
    hub.hub.notifier.take([event()])
    assert {one["state"] for one in settled(hub, 2)} == {"delivered"}, deliveries(hub)
    named = {one["name"]: one for one in hub.get("channels")["items"]}
    assert set(named) == {"gotify", "form"}
    assert named["gotify"]["origin"] == "PERFAGENT_ALERT_CHANNELS"
    asked = {request.path.partition("?")[0]: request for request in webhook.requests}
    gotify = asked["/message"].json
    assert gotify["title"] == "Critical: Failing requests in shop"
    assert "the database does not answer" in gotify["message"]
    assert "/f" in asked


def test_the_file_channel_appends_a_line_each_and_keeps_the_one_before(hub: ServedHub, tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    declare(hub, f'[[channel]]\nname = "file"\nkind = "file"\npath = "{path}"\nsize_mib = 0.005\nrate_per_hour = 0\n')
    hub.hub.notifier.take([event(number=number) for number in range(12)])
    assert {one["state"] for one in settled(hub, 12)} == {"delivered"}
    lines = [json.loads(line) for file in (f"{path}.1", path) for line in Path(file).read_text().splitlines()]
    assert 2 <= len(lines) < 12  # one file before it, and no more
    assert [one["incident"]["id"] for one in lines] == [f"{number:016x}" for number in range(12)][-len(lines) :]
    assert max(os.path.getsize(file) for file in (path, f"{path}.1")) <= 0.005 * 2**20
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_full_disk_leaves_no_half_line_and_the_message_is_tried_again(hub: ServedHub, tmp_path: Path) -> None:
    declare(hub, '[[channel]]\nname = "file"\nkind = "file"\npath = "/dev/full"\n')
    hub.hub.notifier.take([event()])
    until(lambda: deliveries(hub)[0]["attempts"] >= 2)
    assert deliveries(hub)[0]["error"] == "/dev/full cannot be written: No space left on device"
    assert deliveries(hub)[0]["state"] == "waiting"
    path = tmp_path / "alerts.jsonl"
    declare(hub, f'[[channel]]\nname = "file"\nkind = "file"\npath = "{path}"\n')
    assert settled(hub)[0]["state"] == "delivered"
    assert len(path.read_text().splitlines()) == 1


def test_half_a_line_is_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    code = f"""
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from perfagent.hub.notify import errors, files
files.append({str(path)!r}, 10**9, {{"a": 1}})
try:
    files.append({str(path)!r}, 10**9, {{"b": "x" * 5000}})
except errors.NotDelivered as error:
    print(error)
"""
    shown = subprocess.run(
        ["bash", "-c", 'ulimit -f 2; exec "$0" -c "$1"', sys.executable, code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"{path} cannot be written" in shown.stdout
    (line,) = path.read_text().splitlines()
    assert json.loads(line)["a"] == 1

"""Declarations of channels: what is accepted, what is told of the others, and that no secret is shown anywhere."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from perfagent.hub.declared import Declared
from perfagent.hub.notify import declaration, document, facts, message, templates
from perfagent.hub.notify.masking import Mask, of_address
from tests.hubs import Home
from tests.notify_story import TRACE, declare, deliveries, event, settled, write
from tests.receivers import Answer, Webhook, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.hub import ServedHub, ServeHub

FILE = "/srv/perfagent.toml"
MAIL: dict[str, Any] = {
    "name": "mail", "kind": "email", "host": "smtp.example.com", "from": "a@example.com", "to": ["b@example.com"],
}  # fmt: skip
HOOK: dict[str, Any] = {"name": "hook", "kind": "webhook", "url": "https://example.com/x"}
PAGER: dict[str, Any] = {"name": "pager", "kind": "pagerduty", "routing_key": "0" * 32}


def problem(fields: dict[str, Any], **environ: str) -> str:
    """What is told of a declaration that must be off."""
    found, problems = declaration.read([(fields, FILE)], "", environ)
    assert found == []
    (told,) = problems
    return told.text


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({**HOOK, "name": "Höok"}, "name='Höok' is not accepted: give lower-case letters"),
        ({"kind": "webhook", "url": "https://example.com"}, "channel 1: name is missing"),
        ({**HOOK, "colour": "red"}, "'colour' is no key of a channel of kind webhook; there are: name, kind, url"),
        ({**HOOK, "kind": "fax"}, "kind='fax' is not accepted: give one of email, slack, teams"),
        ({**HOOK, "url": "ftp://example.com"}, "url=… is not accepted: give an address, such as https://"),
        ({**HOOK, "url": "http://[::1"}, "url=… is not accepted"),
        ({**HOOK, "method": "DELETE"}, "method='DELETE' is not accepted: give POST, PUT or PATCH"),
        ({**HOOK, "headers": {"X\r\nY": "z"}}, "headers=… is not accepted"),
        ({**HOOK, "headers": ["a"]}, "headers=… is not accepted: give a table"),
        ({**HOOK, "severity": "bad"}, "severity='bad' is not accepted: give the least severe that it is told of: low"),
        ({**HOOK, "happenings": ["fired", "ended"]}, "happenings=['fired', 'ended'] is not accepted: give some"),
        ({**HOOK, "happenings": []}, "happenings=[] is not accepted"),
        ({**HOOK, "services": "a", "rate_per_hour": 1.5}, "rate_per_hour=1.5 is not accepted: give a whole number"),
        ({**HOOK, "rate_per_hour": True}, "rate_per_hour=True is not accepted"),
        ({**HOOK, "quiet_minutes": -1}, "quiet_minutes=-1 is not accepted: give a number from 0 to 10080"),
        ({**HOOK, "enabled": "no"}, "enabled='no' is not accepted: give true or false"),
        ({**HOOK, "url": "https://example.com/${TOKEN}"}, "url names ${TOKEN}, which is not set where the hub runs"),
        ({**MAIL, "to": ["nobody"]}, "to=['nobody'] is not accepted: give addresses"),
        ({**MAIL, "from": "a b"}, "from='a b' is not accepted: give the sender's address"),
        ({**MAIL, "user": "u"}, "password is missing: give both user and password"),
        ({**MAIL, "user": "u", "password": "p", "security": "none"}, "a password does not travel in the clear"),
        ({**MAIL, "user": "u", "password": "pä"}, "password=… is not accepted: give one of ASCII characters"),
        ({**MAIL, "port": 0}, "port=0 is not accepted: give a whole number from 1 to 65535"),
        ({**PAGER, "routing_key": "abc"}, "routing_key=… is not accepted: give the 32 characters"),
        ({**PAGER, "region": "mars"}, "region='mars' is not accepted: give us or eu"),
        ({"name": "s", "kind": "slack", "webhook": "https://example.com/services/a/b/c"}, "webhook=… is not accepted"),
        ({"name": "t", "kind": "teams", "webhook": "https://example.com/x?sig=1"}, "webhook=… is not accepted"),
        ({"name": "f", "kind": "file", "path": "alerts.jsonl"}, "path='alerts.jsonl' is not accepted: give the whole"),
        ({"name": "u", "url": "https://example.com/x"}, 'for one that takes JSON add kind = "webhook"'),
        ({**HOOK, "template": "{{ titel }}"}, "template: titel is no field; there are: headline, title, severity"),
        ({**HOOK, "template": "{{ title"}, "template: line 1:"),
        ({**HOOK, "template": "{{ ''.__class__.__mro__ }}"}, "template: SecurityError"),
    ],
)  # fmt: skip
def test_a_declaration_that_is_off_is_told_with_its_key_and_what_is_accepted(fields: dict[str, Any], told: str) -> None:
    text = problem(fields)
    assert text.startswith(f"{FILE}: channel ")
    assert told in text


def test_a_digest_which_closes_nothing_at_pagerduty_is_sent_there_only_where_a_rate_is_wanted() -> None:
    tables = [(PAGER, "perfagent.toml"), ({**PAGER, "name": "few", "rate_per_hour": 9}, "perfagent.toml"),
              (HOOK, "perfagent.toml")]  # fmt: skip
    found, problems = declaration.read(tables, "", {})
    assert [one.rate_per_hour for one in found] == [0, 9, 20]
    assert problems == []


def test_one_that_is_off_does_not_keep_the_others_from_serving(hub: ServedHub, tmp_path: Path) -> None:
    declare(
        hub,
        f"""
        [[channel]]
        name = "pager"
        kind = "pagerduty"
        routing_key = "secret-canary"
        [[channel]]
        name = "file"
        kind = "file"
        path = "{tmp_path}/alerts.jsonl"
        [[channel]]
        name = "file"
        kind = "file"
        path = "{tmp_path}/again.jsonl"
        [[channel]]
        name = "nothing"
        url = "nosuchservice://secret-canary"
        """,
    )
    hub.hub.notifier.take([event()])
    settled(hub)
    until(lambda: len(hub.hub.notifier.problems) == 3, lambda: str(hub.hub.notifier.problems))
    found = {(one["name"], one["health"]): one["error"] for one in hub.get("channels")["items"]}
    assert set(found) == {("file", "healthy"), ("pager", "off"), ("file", "off"), ("nothing", "off")}
    assert "another one" in found["file", "off"]
    assert "its address is not accepted" in found["nothing", "off"]
    notes = hub.get("hub")["notes"]
    assert sum("channel pager: routing_key=… is not accepted" in note for note in notes) == 1
    assert "canary" not in json.dumps(notes) + json.dumps(hub.get("channels"))


def test_a_hub_that_starts_in_its_own_folder_reads_its_file_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "perfagent.toml", '[[channel]]\nname = "hook"\nkind = "webhook"\nurl = "https://example.com"\n')
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    declared = Declared([".", str(tmp_path), str(tmp_path / "link")])
    assert len(declared.tables("channel")) == 1


def test_the_variable_names_channels_by_their_urls(tmp_path: Path) -> None:
    found, problems = declaration.read(
        [], f"json://a.example/x  mailto://u:p@b.example json://c.example file://{tmp_path}/a%20b.jsonl", {}
    )
    assert problems == []
    assert [(one.name, one.kind) for one in found] == [
        ("json", "apprise"), ("mailto", "apprise"), ("json-2", "apprise"), ("file", "file"),
    ]  # fmt: skip
    assert found[3].arguments["path"] == f"{tmp_path}/a b.jsonl"


def test_secrets_come_from_the_environment_and_are_shown_nowhere(
    serve_hub: ServeHub, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "perfagent")
    canaries = {
        "OF_HEADER": "canary-of-header/+=?&",
        "OF_QUERY": "canary of query&é",
        "OF_PATH": "canary-of-path",
        "OF_PASSWORD": 'canary"of<password>',
        "OF_TOKEN": "CanaryOfToken123",
    }
    with Webhook() as echo:
        hub = serve_hub(
            **canaries, PERFAGENT_ALERT_CHANNELS=f"json://u:canary-inline@127.0.0.1:{echo.port}/canary-path"
        )
        declare(
            hub,
            f"""
            [[channel]]
            name = "hook"
            kind = "webhook"
            url = "{echo.url}/${{OF_PATH}}?key=canary%20of%20query%26%C3%A9"
            headers = {{ Authorization = "Bearer ${{OF_HEADER}}", X-Key = "${{OF_QUERY}}" }}
            [[channel]]
            name = "gone"
            kind = "webhook"
            url = "http://127.0.0.1:1/${{OF_PATH}}"
            [[channel]]
            name = "nowhere"
            kind = "webhook"
            url = "https://canary-of-path.invalid/${{OF_PATH}}?x=${{OF_TOKEN}}"
            [[channel]]
            name = "gotify"
            url = "gotify://127.0.0.1:{echo.port}/${{OF_TOKEN}}"
            [[channel]]
            name = "mail"
            kind = "email"
            host = "127.0.0.1"
            port = 1
            user = "ada"
            password = "${{OF_PASSWORD}}"
            from = "a@example.com"
            to = ["b@example.com"]
            """,
        )
        spoken = " | ".join(
            [*canaries.values(), "canary%20of%20query%26%C3%A9", "Q2FuYXJ5T2ZUb2tlbjEyMw==", "canary-inline"]
        )
        echo.answer = Answer(500, spoken.encode() * 3)
        names = {"hook", "gone", "nowhere", "gotify", "mail", "json"}
        assert {one["name"] for one in hub.get("channels")["items"]} == names
        hub.hub.notifier.take([event()])
        until(
            lambda: {one["channel"] for one in deliveries(hub) if one["error"]} == names, lambda: str(deliveries(hub))
        )
        assert echo.requests[0].headers["Authorization"].startswith(("Bearer canary-of-header/+=?&", "Basic "))
        tested = [hub.ask("channels/test", "admin", "POST", json={"channel": name}).json() for name in sorted(names)]
        shown = json.dumps(
            [deliveries(hub), hub.get("channels"), hub.get("hub"), tested, hub.get("audit", "admin")["items"]],
            ensure_ascii=False,
        )
        shown += hub.client.get("/metrics", headers=hub.bearer("viewer")).text
        # pytest listens to Apprise's own logger too, which tells nobody else.
        shown += "\n".join(one.getMessage() for one in caplog.records if one.name.startswith("perfagent"))
        reasons = {one["channel"]: one["error"] for one in deliveries(hub) if one["happening"] == "fired"}
    assert "error=500" in reasons["hook"]
    assert "***" in reasons["hook"]
    assert reasons["gone"] == "Failed to establish a new connection: [Errno 111] Connection refused"
    words = shown.lower().replace("canary-of-path.invalid", "")
    assert re.findall(".{0,40}(?:canary|q2fuyxj5).{0,20}", words) == []
    rows = hub.hub.store._all("SELECT * FROM deliveries")
    assert "canary" not in json.dumps(rows, default=str).lower().replace("canary-of-path.invalid", "")


@pytest.mark.parametrize("text", ["a secret-1 b", "secret%2D1", "c2VjcmV0LTE=", "xsecret-1", "SECRET-1 secret-1"])
def test_a_secret_is_hidden_in_each_form(text: str) -> None:
    hidden = Mask(["secret-1", "abc"])(text.replace("secret%2D1", "secret-1"))
    assert "secret-1" not in hidden
    assert "***" in hidden
    assert Mask(["a"])("a plain text") == "a plain text"  # too short to be one


def test_a_secret_across_the_end_of_a_reason_is_hidden_as_a_whole() -> None:
    mask = Mask(["0123456789"])
    for length in range(1, 40):
        shown = mask.shortened("x" * 15 + "0123456789" + "y" * 20, length)
        assert not any(part in shown for part in ("0123", "6789")), shown
    assert mask.shortened("short", 100) == "short"


def test_what_may_be_secret_in_an_address_is_known() -> None:
    found = of_address("https://ada:p%40ss@hooks.example.com/services/T12345/x9?sig=abcdef&v=1")
    assert {"ada", "p%40ss", "p@ss", "T12345", "abcdef"} <= set(found)
    assert "services" not in found
    assert "hooks.example.com" not in found
    assert "TokenOfDiscord" in of_address("discord://TokenOfDiscord/Second")


def test_the_settings_command_does_not_show_the_variable(tmp_path: Path) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "perfagent", "config", "ALERT_CHANNELS"],
        env={"PERFAGENT_ALERT_CHANNELS": "slack://canary/of/slack", "PATH": "/usr/bin:/bin"},
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "PERFAGENT_ALERT_CHANNELS = (set, not shown)" in shown.stdout
    assert "canary" not in shown.stdout


def test_an_event_that_waited_on_the_disk_is_the_same() -> None:
    told = event("acknowledged", severity="high", note="the report runs", by="operator", subject="GET /x")
    assert document.read(document.written(told)) == told
    newer = json.loads(document.written(told))
    newer["incident"]["violations"][0]["unheard_of"] = 1
    assert document.read(json.dumps(newer)) == told


def test_a_template_says_what_it_wants_in_the_form_of_each_channel() -> None:
    text = (
        "{{ severity|upper }} {{ title }}\n{% for one in figures %}\n{{ one.worst }} of {{ one.limit }}\n{% endfor %}\n"
        "{{ services|join(', ') }} {{ duration }} {{ link }} {{ traces[0] }}"
    )
    templates.check(text)
    told = message.of(event(title="a <b> & *c* [d](e)"), "http://hub", text)
    links = f"http://hub/#/incidents/0000000000000001 http://hub/#/traces/{TRACE}"
    assert told.text("text") == f"CRITICAL a <b> & *c* [d](e)\n12 % of 5 %\nshop 2 min {links}"
    assert told.text("html").startswith("CRITICAL a &lt;b&gt; &amp; *c* [d](e)<br>\n12 % of 5 %")
    assert told.text("markdown").startswith("CRITICAL a &lt;b&gt; &amp; \\*c\\* \\[d\\](e)\n")
    assert told.text("slack").startswith("CRITICAL a &lt;b&gt; &amp; *c* [d](e)\n")


@pytest.mark.parametrize("text", ["{{ 1 // 0 }}", "{{ figures[7].text }}", "{% for i in range(10**9) %}{% endfor %}"])
def test_a_template_that_fails_is_refused_or_ours_serves_with_the_reason(text: str) -> None:
    assert "template" in problem({**HOOK, "template": text})
    shown = message.of(event(), "http://hub", text).text("text")
    assert "the database does not answer" in shown
    assert "the channel's template failed" in shown


@pytest.mark.parametrize(
    "text",
    [
        "{{ title.__class__ }}",
        "{{ figures.append(1) }}",
        "{{ title.format.__globals__ }}",
        "{{ ''['__class__'] }}",
        "{% include '/etc/passwd' %}",
        "{{ cycler.__init__.__globals__ }}",
    ],
)
def test_a_template_reaches_nothing_but_its_fields(text: str) -> None:
    assert "template" in problem({**HOOK, "template": text})


@pytest.mark.parametrize("field", facts.FIELDS)
def test_every_field_of_the_documentation_is_there(field: str) -> None:
    assert field in facts.of(event(), "http://hub")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (119, "119 s"), (750, "12 min"), (11_100, "3 h 5 min"), (187_200, "2 d 4 h")]
)
def test_a_stretch_of_time_is_told_in_two_units_at_most(seconds: float, text: str) -> None:
    assert facts.lasting(seconds) == text


def test_only_admins_test_a_channel_and_the_audit_log_knows(hub: ServedHub) -> None:
    with Webhook() as webhook:
        declare(hub, f'[[channel]]\nname = "hook"\nkind = "webhook"\nurl = "{webhook.url}"\n')
        for role in ("viewer", "operator"):
            assert hub.ask("channels/test", role, "POST", json={"channel": "hook"}).status_code == 403
        assert webhook.requests == []
        answer = hub.ask("channels/test", "admin", "POST", json={"channel": "hook"})
        assert answer.json()["data"]["delivered"] is True
        assert webhook.requests[0].json["title"] == "A test of the channel hook"
        webhook.answer = Answer(403, b"who are you")
        answer = hub.ask("channels/test", "admin", "POST", json={"channel": "hook"})
        assert "who are you" in answer.json()["data"]["error"]
        refused = hub.ask("channels/test", "admin", "POST", json={"channel": "other"})
        assert (refused.status_code, refused.json()["error"]["field"]) == (404, "channel")
        assert "there are: hook" in refused.json()["error"]["message"]
    assert [one["happening"] for one in deliveries(hub)] == ["test", "test"]
    assert [one["state"] for one in deliveries(hub)] == ["failed", "delivered"]
    told = [(one["action"], one["subject"]) for one in hub.get("audit", "admin")["items"]]
    assert told.count(("channels.test", "hook")) == 2


@pytest.mark.slow
def test_a_hub_without_channels_does_not_import_what_sends(tmp_path: Path) -> None:
    home = Home(tmp_path / "hub")
    code = (
        "import sys\nfrom pathlib import Path\nfrom tests.hub import ServedHub\nfrom tests.notify_story import event\n"
        f"with ServedHub(Path({str(home.folder)!r})) as hub:\n"
        "    hub.hub.notifier.take([event()])\n    assert hub.get('channels')['items'] == []\n"
        "    print(sorted({'apprise', 'jinja2', 'requests'} & set(sys.modules)))\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert shown.stdout == "[]\n", shown.stderr


def test_a_file_that_is_half_written_changes_nothing_and_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "perfagent.toml"
    write(path, '[[channel]]\nname = "hook"\n')
    found = Declared([str(tmp_path)])
    write(path, '[[channel]]\nname = "hook"\n[[rule')
    assert found.refresh()
    assert [table for table, _ in found.tables("channel")] == [{"name": "hook"}]
    (told,) = found.problems
    assert f"{path} is not valid TOML" in told
    assert "with what it said before" in told
    assert told in caplog.text
    write(path, '[[channel]]\nname = "other"\n')
    assert found.refresh()
    assert ([table for table, _ in found.tables("channel")], found.problems) == ([{"name": "other"}], [])


def test_a_table_that_nobody_reads_is_told_with_the_nearest_one(serve_hub: ServeHub) -> None:
    hub = serve_hub()
    declare(hub, '[[chanel]]\nname = "hook"\n[[rule]]\nname = "slow"\nwhen = "avg(x) >"\n')
    hub.hub.declared.refresh()
    notes = hub.get("hub")["notes"]
    assert any(
        "[[chanel]] is no table of the hub; did you mean [[channel]]? there are: [[slo]]" in one for one in notes
    )
    assert any("rule 1 (slow): when: column" in one for one in notes), "what is off in any table is told there"

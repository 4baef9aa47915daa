"""Channels as they are declared: `[[channel]]` tables of perfagent.toml, and PERFAGENT_ALERT_CHANNELS."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from perfagent.hub.alert.violation import SEVERITIES
from perfagent.hub.notify import masking, templates
from perfagent.hub.notify.channel import HAPPENINGS, TOLD, Channel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfagent.hub.notify.channel import Kind

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
COMMON = (
    "name", "kind", "url", "severity", "services", "happenings", "template", "rate_per_hour", "quiet_minutes",
    "enabled",
)  # fmt: skip
KINDS: dict[str, tuple[str, ...]] = {
    "email": ("host", "port", "security", "user", "password", "from", "to"),
    "slack": ("webhook",),
    "teams": ("webhook",),
    "pagerduty": ("routing_key", "region"),
    "webhook": ("method", "headers"),
    "file": ("path", "size_mib"),
    "apprise": (),
}
SECRET = frozenset(("url", "webhook", "routing_key", "password", "user", "headers", "host"))
"""Keys whose values are not shown where they are refused."""
PORTS = {"starttls": 587, "tls": 465, "none": 25}
MODES = {"starttls": "starttls", "tls": "ssl", "none": "insecure"}
MIB = 1 << 20
RATES: dict[str, int] = {"pagerduty": 0}
"""Messages an hour where a channel does not say; 0 for no limit: PagerDuty puts together what belongs together by
itself, and what a digest tells to be over would stay open there."""


class BadChannel(ValueError):  # noqa: N818 - a state of a file
    """A declaration that is off; the text names the key, its value, what is accepted, and what to do."""


class Problem(NamedTuple):
    """A declaration that is off, so that it does not serve."""

    name: str
    origin: str
    text: str


def read(
    tables: Sequence[tuple[Mapping[str, Any], str]], quick: str, environ: Mapping[str, str]
) -> tuple[list[Channel], list[Problem]]:
    """The channels that are declared, and what is wrong with the others.

    Args:
        tables: the `[[channel]]` tables, each with the path of its file.
        quick: the value of PERFAGENT_ALERT_CHANNELS.
        environ: what `${NAME}` stands for.
    """
    given = [*tables, *_quick(quick)]
    found: dict[str, Channel] = {}
    problems: list[Problem] = []
    for number, (fields, origin) in enumerate(given, 1):
        table = _Table(fields, number, origin, environ)
        try:
            channel = table.channel()
            if channel is not None and channel.name in found:
                table.refuse("name", f"another one: {found[channel.name].origin} has a channel of that name already")
        except BadChannel as error:
            problems.append(Problem(table.name, origin, str(error)))
        else:
            if channel is not None:
                found[channel.name] = channel
    # One mask for all: two channels may go to one receiver, and that may say anything.
    mask = masking.Mask(secret for one in found.values() for secret in one.mask.secrets)
    return [replace(one, mask=mask) for one in found.values()], problems


def _quick(text: str) -> list[tuple[Mapping[str, Any], str]]:
    """A table for each URL of the variable, named by what it begins with."""
    found: list[tuple[Mapping[str, Any], str]] = []
    taken: dict[str, int] = {}
    for url in text.split():
        scheme = re.sub(r"[^a-z0-9]", "", url.partition(":")[0].lower()) or "url"
        taken[scheme] = taken.get(scheme, 0) + 1
        name = scheme if taken[scheme] == 1 else f"{scheme}-{taken[scheme]}"
        kind = {"kind": "file", "path": unquote(urlsplit(url).path)} if scheme == "file" else {"url": url}
        found.append(({"name": name, **kind}, "PERFAGENT_ALERT_CHANNELS"))
    return found


class _Table:
    """One `[[channel]]` table.

    Args:
        fields: what it says.
        number: which one it is, from 1.
        origin: where it is.
        environ: what `${NAME}` stands for.
    """

    def __init__(self, fields: Mapping[str, Any], number: int, origin: str, environ: Mapping[str, str]) -> None:
        self._fields, self._origin, self._environ = dict(fields), origin, environ
        named = fields.get("name")
        self.name = named if isinstance(named, str) and NAME.fullmatch(named) else f"channel {number}"
        self._secrets: list[str] = []

    def refuse(self, key: str, accepted: str) -> NoReturn:
        """Raises; `accepted` says what the key wants."""
        if key not in self._fields:
            said = f"{key} is missing"
        else:
            value = "…" if key in SECRET else repr(self._fields[key])[:100]
            said = f"{key}={value} is not accepted"
        raise BadChannel(f"{self._origin}: channel {self.name}: {masking.Mask(self._secrets)(said)}: give {accepted}")

    def channel(self) -> Channel | None:
        """What the table declares; None where it is switched off."""
        kind = self._kind()
        for key in self._fields:
            if key not in COMMON and key not in KINDS[kind]:
                there = ", ".join((*COMMON, *KINDS[kind]))
                raise BadChannel(
                    f"{self._origin}: channel {self.name}: {key!r} is no key of a channel of kind {kind}; "
                    f"there are: {there}"
                )
        name = self._text("name", "lower-case letters, digits, - and _, at most 63 of them")
        if not NAME.fullmatch(name):
            self.refuse("name", "lower-case letters, digits, - and _, at most 63 of them")
        enabled = self._fields.get("enabled", True)
        if not isinstance(enabled, bool):
            self.refuse("enabled", "true or false")
        if not enabled:
            return None
        arguments, shown = getattr(self, f"_{kind}")()
        severity = self._fields.get("severity", "warning")
        if severity not in SEVERITIES:
            self.refuse("severity", f"the least severe that it is told of: {', '.join(SEVERITIES)}")
        happenings = self._words("happenings", TOLD, f"some of {', '.join(HAPPENINGS)}")
        if not happenings or any(one not in HAPPENINGS for one in happenings):
            self.refuse("happenings", f"some of {', '.join(HAPPENINGS)}")
        return Channel(
            name=name,
            kind=kind,
            shown=shown,
            arguments=arguments,
            severity=severity,
            services=self._words("services", (), 'names of services, such as ["shop", "shop-*"]'),
            happenings=happenings,  # type: ignore[arg-type]
            template=self._template(),
            rate_per_hour=int(self._number("rate_per_hour", RATES.get(kind, 20), 0, 100_000, whole=True)),
            quiet_minutes=self._number("quiet_minutes", 5, 0, 10_080),
            origin=self._origin,
            mask=masking.Mask(self._secrets),
        )

    def _kind(self) -> Kind:
        kind = self._fields.get("kind", "apprise")
        if not isinstance(kind, str) or kind not in KINDS:
            self.refuse("kind", f"one of {', '.join(KINDS)}, or leave it out and give an Apprise URL as url")
        return kind  # type: ignore[return-value]

    def _apprise(self) -> tuple[dict[str, Any], str]:
        url = self._text("url", "an Apprise URL, such as slack://…, or a kind")
        if url.partition("://")[0].lower() in ("http", "https") and not re.search(
            r"//(hooks\.slack\.com|[^/]+\.logic\.azure\.com|[^/]+\.powerplatform\.com|discord\.com|discordapp\.com)",
            url,
        ):
            self.refuse("url", 'an Apprise URL, such as slack://…; for one that takes JSON add kind = "webhook"')
        self._hide_address(url)
        return {"url": url}, url.partition(":")[0].lower()

    def _email(self) -> tuple[dict[str, Any], str]:
        host = self._text("host", "the mail server, such as smtp.example.com")
        security = self._fields.get("security", "starttls")
        if security not in MODES:
            self.refuse("security", f"one of {', '.join(MODES)}")
        to = self._words("to", (), 'addresses, such as ["ops@example.com"]')
        address = r"[^@\s<>,]+@[^@\s<>,]+"
        if not to or not all(re.fullmatch(address, one) for one in to):
            self.refuse("to", 'addresses, such as ["ops@example.com"]')
        sender = self._text("from", "the sender's address, such as perfagent@example.com")
        if not re.fullmatch(address, sender):
            self.refuse("from", "the sender's address, such as perfagent@example.com")
        user, password = self._text("user", "a text", ""), self._text("password", "a text", "")
        if bool(user) != bool(password):
            self.refuse("password" if user else "user", "both user and password, or neither")
        if not password.isascii() or not user.isascii():
            self.refuse("password", "one of ASCII characters alone, for nothing else can be sent to a mail server")
        if user and security == "none" and host not in ("localhost", "127.0.0.1", "::1"):
            self.refuse("security", "starttls or tls: a password does not travel in the clear")
        self._secrets += [password]
        arguments = {
            "schema": "mailto" if security == "none" else "mailtos",
            "secure": security != "none",
            "secure_mode": MODES[security],
            "host": host,
            "smtp_host": host,
            "port": int(self._number("port", PORTS[security], 1, 65_535, whole=True)),
            "from_addr": f"perfagent <{sender}>",
            "targets": list(to),
            "format": "html",
            **({"user": quote(user, safe=""), "password": quote(password, safe="")} if user else {}),
        }
        return arguments, f"{', '.join(to)} by {host}"

    def _slack(self) -> tuple[dict[str, Any], str]:
        accepted = "an incoming webhook, https://hooks.slack.com/services/T…/B…/…"
        url = self._text("webhook", accepted)
        self._hide_address(url)
        if not re.fullmatch(r"https://hooks\.slack(-gov)?\.com/services/[^/]+/[^/]+/[^/]+/?", url):
            self.refuse("webhook", accepted)
        return {"url": url}, "an incoming webhook of Slack"

    def _teams(self) -> tuple[dict[str, Any], str]:
        accepted = "what Teams' workflow “Post to a channel when a webhook request is received” shows: https://…&sig=…"
        url = self._text("webhook", accepted)
        self._hide_address(url)
        parts = urlsplit(url)
        signature = dict(parse_qsl(parts.query)).get("sig")
        path = re.search(r"/workflows/([A-Za-z0-9_-]+)/triggers/manual/paths/invoke", parts.path)
        if parts.scheme != "https" or not signature or path is None:
            self.refuse("webhook", accepted)
        automate = "/powerautomate/automations/direct" in parts.path
        route = re.search(r"/direct/cu/([^/]+)/workflows", parts.path)
        arguments = {
            "schema": "workflows",
            "host": parts.hostname,
            "port": parts.port,
            "workflow": path[1],
            "signature": signature,
            "power_automate": automate,
            "routing_id": route[1] if route else None,
            "include_image": False,
        }
        return arguments, f"a workflow of Teams at {parts.hostname}"

    def _pagerduty(self) -> tuple[dict[str, Any], str]:
        key = self._text("routing_key", "the 32 characters of an Events API v2 integration")
        self._secrets.append(key)
        if not re.fullmatch(r"[A-Za-z0-9]{32}", key):
            self.refuse("routing_key", "the 32 characters of an Events API v2 integration")
        region = self._fields.get("region", "us")
        if region not in ("us", "eu"):
            self.refuse("region", "us or eu")
        # The Events API wants the routing key alone; the library insists on a token of the REST API besides.
        arguments = {"schema": "pagerduty", "apikey": "none", "integrationkey": key, "region_name": region, "host": ""}
        return arguments, f"PagerDuty ({region})"

    def _webhook(self) -> tuple[dict[str, Any], str]:
        url = self._text("url", "an address, such as https://example.com/alerts")
        self._hide_address(url)
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            self.refuse("url", "an address, such as https://example.com/alerts")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            self.refuse("url", "an address, such as https://example.com/alerts")
        method = str(self._fields.get("method", "POST")).upper()
        if method not in ("POST", "PUT", "PATCH"):
            self.refuse("method", "POST, PUT or PATCH")
        host = parts.hostname
        arguments = {
            "schema": "jsons" if parts.scheme == "https" else "json",
            "secure": parts.scheme == "https",
            "host": f"[{host}]" if ":" in host else host,
            "port": port,
            "fullpath": parts.path or "/",
            "params": dict(parse_qsl(parts.query, keep_blank_values=True)),
            "method": method,
            "headers": self._headers(),
            **({"user": parts.username, "password": parts.password or ""} if parts.username else {}),
        }
        return arguments, f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    def _headers(self) -> dict[str, str]:
        given = self._fields.get("headers", {})
        accepted = 'a table, such as { Authorization = "Bearer ${ALERT_TOKEN}" }'
        if not isinstance(given, dict):
            self.refuse("headers", accepted)
        headers: dict[str, str] = {}
        for name, value in given.items():
            if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name) or not isinstance(value, str):
                self.refuse("headers", accepted)
            headers[name] = self._expanded("headers", value)
            if re.search(r"[\r\n\0]", headers[name]):
                self.refuse("headers", "values of one line")
            self._secrets += [headers[name], *headers[name].split()]
        return headers

    def _file(self) -> tuple[dict[str, Any], str]:
        path = os.path.expanduser(self._text("path", "a file, such as /var/log/perfagent/alerts.jsonl"))
        if not os.path.isabs(path):
            self.refuse("path", "the whole path, from / on, such as /var/log/perfagent/alerts.jsonl")
        size = self._number("size_mib", 10, 0.001, 10_240)
        return {"path": path, "bytes": int(size * MIB)}, path

    def _template(self) -> str:
        text = self._fields.get("template", "")
        if not isinstance(text, str) or len(text) > templates.LONGEST:
            self.refuse("template", f"a text of at most {templates.LONGEST} characters")
        if text:
            try:
                templates.check(text)
            except ValueError as error:
                raise BadChannel(f"{self._origin}: channel {self.name}: template: {error}") from None
        return text

    def _hide_address(self, url: str) -> None:
        self._secrets += masking.of_address(url)

    def _expanded(self, key: str, text: str) -> str:
        try:
            found, values = masking.expanded(text, self._environ)
        except KeyError as error:
            name = error.args[0]
            raise BadChannel(
                f"{self._origin}: channel {self.name}: {key} names ${{{name}}}, which is not set where the hub runs: "
                f"set it and start the hub again (a hub that `perfagent run` starts gets variables that begin with "
                "PERFAGENT_ alone)"
            ) from None
        self._secrets += values
        return found

    def _text(self, key: str, accepted: str, default: str | None = None) -> str:
        value = self._fields.get(key, default)
        if not isinstance(value, str) or (not value and default is None):
            self.refuse(key, accepted)
        found = self._expanded(key, value)
        if re.search(r"[\x00-\x1f\x7f]", found):
            self.refuse(key, accepted)
        return found

    def _words(self, key: str, default: tuple[str, ...], accepted: str) -> tuple[str, ...]:
        value = self._fields.get(key, default)
        if isinstance(value, str):
            value = [value]
        if not isinstance(value, (list, tuple)) or not all(isinstance(one, str) and one for one in value):
            self.refuse(key, accepted)
        return tuple(self._expanded(key, one) for one in value)

    def _number(self, key: str, default: float, low: float, high: float, *, whole: bool = False) -> float:
        value = self._fields.get(key, default)
        kinds = (int,) if whole else (int, float)
        if not isinstance(value, kinds) or isinstance(value, bool) or not low <= value <= high:
            self.refuse(key, f"{'a whole number' if whole else 'a number'} from {low:g} to {high:g}")
        return float(value)

"""Sends one message, through Apprise or into a file; imported late, for Apprise takes a quarter of a second."""

from __future__ import annotations

import logging
import re
import threading
from typing import TYPE_CHECKING, Any, Final

from perfagent.hub.notify import files
from perfagent.hub.notify.errors import NotDelivered

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from perfagent.hub.notify.channel import Channel
    from perfagent.hub.notify.message import Message
    from perfagent.hub.notify.templates import Format

CONNECTING, ANSWERING = 5.0, 10.0  # seconds until the library gives up, unless the channel's URL says otherwise
SHOWN = 300  # characters of a reason
NOISE = re.compile(r"( with url: \S+|<[\w.]+(?: object)? at 0x[0-9a-f]+>:? ?)")
"""What requests says besides the reason: the address, with its secrets, and objects of its own."""
CAUSE = re.compile(
    r"HTTPS?ConnectionPool\(.*?\): .*?\(Caused by \w+\(['\"]?(?:HTTPS?Connection\(.*?\): )?(.*?)['\"]?\)\)$"
)
"""How requests wraps the reason why there is no connection."""
COLOURS: Final = {"low": "info", "medium": "info", "warning": "warning", "high": "failure", "critical": "failure"}
PAGERDUTY = {"low": "info", "medium": "warning", "warning": "warning", "high": "error", "critical": "critical"}
SUMMARY = 1000  # characters; PagerDuty's limit is 1,024
CARD = 950  # Apprise's limit of a card for Teams is 1,000, and it would cut within a link
SECTION = 2900  # Slack's limit of a section is 3,000
HEADER = 140  # Slack's limit of a header is 150


def check(channel: Channel) -> str:
    """What is wrong with a channel's address, without its secrets; "" where nothing is."""
    if channel.kind == "file":
        return ""
    with Listening() as heard:
        found = _service(_parsed(channel.arguments))
    if found is not None:
        return ""
    reason = channel.mask.shortened(_first(heard.lines), SHOWN) or "it is none that Apprise knows"
    return f"{channel.origin}: channel {channel.name}: its address is not accepted: {reason}"


def send(channel: Channel, message: Message) -> None:
    """Sends a message; returns once the receiver has taken it.

    Raises:
        NotDelivered: why not, without secrets.
    """
    if channel.kind == "file":
        files.append(channel.arguments["path"], channel.arguments["bytes"], message.content)
        return
    with Listening() as heard:
        try:
            done = _send(channel.arguments, message)
        except Exception as error:  # of any of a hundred services' code
            heard.lines.append(f"{type(error).__name__}: {error}")
            done = False
    if not done:
        raise NotDelivered(channel.mask.shortened(_best(heard.lines), SHOWN) or "it was refused without a reason")


def _send(given: Mapping[str, Any], message: Message) -> bool:
    arguments = _parsed(given)
    schema = str(arguments.get("schema", ""))
    if schema in EXTRAS:
        arguments |= EXTRAS[schema](message)
    service = _service(arguments)
    if service is None:
        return False
    title, body, form = FORMS.get(schema, _plain)(service, message)
    return bool(service.notify(body=body, title=title, notify_type=_type(message), body_format=form))


def _parsed(given: Mapping[str, Any]) -> dict[str, Any]:
    """What an Apprise URL, or the address of a service that Apprise knows, stands for."""
    from apprise import plugins

    if "url" not in given:
        return dict(given)
    return plugins.url_to_dict(given["url"], secure_logging=True) or {}


def _service(arguments: Mapping[str, Any]) -> Any:
    """What Apprise makes of a channel; None where it refuses."""
    import apprise

    # No redirect is followed: a receiver could send the message, and headers with it, to whom it likes.
    asset = apprise.AppriseAsset(
        app_id="perfagent", app_desc="perfagent", app_url="", http_redirects=False, async_mode=False
    )
    return apprise.Apprise.instantiate({"cto": CONNECTING, "rto": ANSWERING, **arguments}, asset=asset)


def _type(message: Message) -> Any:
    from apprise import NotifyType

    return NotifyType("success" if message.over else COLOURS[message.severity])


def _slack_extras(_message: Message) -> dict[str, Any]:
    return {"use_blocks": True, "include_image": False, "format": "markdown"}


def _pagerduty_extras(message: Message) -> dict[str, Any]:
    fields = message.fields
    details = {key: fields[key] for key in ("cause", "advice", "since", "duration", "runbook") if fields.get(key)}
    if fields.get("figures"):
        details["figures"] = "\n".join(one["text"] for one in fields["figures"])
    return {
        "action": "resolve" if message.over and message.incident else "trigger",
        "dedup": message.incident or None,
        "severity": PAGERDUTY[message.severity],
        "source": ", ".join(fields.get("services", ())) or "perfagent",
        "component": (fields.get("services") or ["perfagent"])[0],
        "click": str(message.link),
        "details": details,
        "include_image": False,
    }


def _webhook_extras(message: Message) -> dict[str, Any]:
    return {"payload": {"attachments": "", **message.content}}


EXTRAS: dict[str, Callable[[Message], dict[str, Any]]] = {
    "slack": _slack_extras,
    "pagerduty": _pagerduty_extras,
    "json": _webhook_extras,
    "jsons": _webhook_extras,
}
"""What a message adds to the arguments of a service, by the service's scheme."""


def _plain(service: Any, message: Message) -> tuple[str, str, str]:
    """Title, text and its format for a service of which we know nothing but the format that it takes."""
    form = str(getattr(service.resolve_format(None), "value", "text"))
    ours: Format = "html" if form == "html" else "markdown" if form == "markdown" else "text"
    return message.title, message.text(ours), ours


def _slack(_service: Any, message: Message) -> tuple[str, str, None]:
    """No format: what is written in Slack's own is not to be turned into it again."""
    return message.title[:HEADER], _cut(message.text("slack"), SECTION), None


def _teams(_service: Any, message: Message) -> tuple[str, str, str]:
    return message.title, _cut(message.text("markdown"), CARD - min(len(message.title), 250)), "markdown"


def _pagerduty(_service: Any, message: Message) -> tuple[str, str, str]:
    return "", message.title[:SUMMARY], "text"


def _webhook(_service: Any, message: Message) -> tuple[str, str, str]:
    return message.title, message.text("text"), "text"


FORMS: dict[str, Callable[[Any, Message], tuple[str, str, str | None]]] = {
    "slack": _slack,
    "workflow": _teams,
    "workflows": _teams,
    "pagerduty": _pagerduty,
    "json": _webhook,
    "jsons": _webhook,
}
"""Title, text and the text's format, by the service's scheme."""


def _cut(text: str, longest: int) -> str:
    """Whole lines of a text, as many as fit."""
    if len(text) <= longest:
        return text
    kept: list[str] = []
    size = 2
    for line in text.splitlines():
        size += len(line) + 1
        if size > longest:
            break
        kept.append(line)
    return "\n".join([*kept, "…"]) if kept else text[: longest - 1] + "…"


class Listening(logging.Handler):
    """Hears what Apprise says in this thread: its answers are true or false, and the reason is in its log alone.

    Nothing of it reaches the hub's log, for it may hold secrets.
    """

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self._thread = threading.get_ident()

    def __enter__(self) -> Listening:
        logger = logging.getLogger("apprise")
        logger.propagate = False
        logger.setLevel(logging.DEBUG)
        logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("apprise").removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps what may be the reason."""
        if record.thread != self._thread:
            return
        text = record.getMessage()
        if record.levelno >= logging.WARNING or "Exception" in text or text.startswith("Response Details"):
            self.lines.append(text)


def _first(lines: list[str]) -> str:
    return _line(lines[0]) if lines else ""


def _line(text: str) -> str:
    line = " ".join(NOISE.sub("", text).split())
    return found[1] if (found := CAUSE.search(line)) else line


def _best(lines: list[str]) -> str:
    """The reason among what was said: what happened to the connection, else the refusal with what was answered."""
    refusal = next((line for line in lines if not line.startswith("Response Details")), "")
    for line in lines:
        if "Exception" in line and ": " in line:
            return _line(line.partition(": ")[2])
    answer = next((line.partition("\n")[2] for line in lines if line.startswith("Response Details")), "")
    answered = re.sub(r"^b?(['\"])(.*)\1$", r"\2", answer.strip())
    return _line(refusal + (f" The answer: {answered}" if answered else ""))

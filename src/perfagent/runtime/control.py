"""Does what a hub asks of this process: a short list of things, and only for a hub that has the right to ask.

Nothing here is imported before an answer to an export has said that something waits (`Perfagent-Control`), and all of
it runs in the background thread. A document is believed when it is signed by the user's own hub, or with the key that
the user gave, when it is for this process and fresh, and each command in it once.
"""

from __future__ import annotations

import gc
import hmac
import json
from urllib.parse import quote

from perfagent.hub import access as hub_access
from perfagent.hub import lock
from perfagent.runtime import guard, outbox, report, resource, sampler, span
from perfagent.runtime.clock import monotonic, time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from perfagent.hub.access import Access
    from perfagent.runtime.otlp.transport import Destination
    from perfagent.runtime.pipeline import Pipeline
    from perfagent.settings import Settings

TIMEOUT = 5.0  # seconds for each step on the network
OLDEST = 300.0  # seconds that a document is good for; clocks of two machines differ
MOST = 16  # commands of one document
REMEMBERED = 1024  # identifiers of the last two times OLDEST; with more, nothing is done until there are fewer
LARGEST = 1 << 16  # bytes of one result
SILENCE = 60.0  # seconds for which a hub that may not ask is not listened to
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
LEVELS = ("debug", "info", "warning", "error", "critical", "off")

_seen: dict[str, float] = {}
_deaf: dict[str, float] = {}


class Refusal(Exception):  # noqa: N818 - an answer, not a fault
    """What was asked is not done; the text says why."""


def obey(pipeline: Pipeline, hub: Destination) -> None:
    """Fetches what waits, does it, and answers; a hub that may not ask is left alone for a while."""
    if _deaf.get(hub.authority, 0.0) > monotonic():
        return
    try:
        access = _access(pipeline.settings, hub)
        if access is not None:
            _serve(pipeline, hub, access)
            return
    except Refusal as refusal:
        pipeline.say(f"commands of {hub.authority} are not obeyed: {refusal}")
    except Exception:
        guard.failed("control")
    _deaf[hub.authority] = monotonic() + SILENCE


def _access(settings: Settings, hub: Destination) -> Access | None:
    """The secret shared with a hub: its own where it is this user's, else the key that is set; None for a stranger."""
    directory = lock.directory(settings)
    found = lock.find(directory)  # finds none of another user
    if found is not None and not hub.secure and _same(found.address.partition("://")[2], hub.authority):
        return hub_access.Access(hub_access.secret(directory))
    if settings.control != "on":
        return None
    if not settings.control_key:
        raise Refusal("PERFAGENT_CONTROL=on takes the key that the hub has, too: set PERFAGENT_CONTROL_KEY")
    return hub_access.Access(settings.control_key.encode())


def _same(one: str, other: str) -> bool:
    """Whether two authorities are the same port of this machine, or the same in every letter."""
    host, _, port = one.rpartition(":")
    name, _, number = other.rpartition(":")
    return one == other or (port == number and host in LOOPBACK and name in LOOPBACK)


def _serve(pipeline: Pipeline, hub: Destination, access: Access) -> None:
    instance = instance_of(pipeline.settings)
    path = f"/v1/control/{quote(instance, safe='')}"
    headers = {
        **{name: value for name, value in hub.headers.items() if name.lower() != "authorization"},
        "Authorization": f"Bearer {access.token('agent')}",
        "User-Agent": pipeline.transport.agent,
        "Content-Type": "application/json",
    }
    response, body = pipeline.transport.exchange(hub, "GET", path, b"", headers, TIMEOUT)
    if response.status != 200:
        raise Refusal(f"it answered {response.status} {response.reason} to {path}")
    results = [
        _done(pipeline, command)
        for command in commands(body, response.headers.get("Perfagent-Signature") or "", access, instance)
    ]
    if results:
        answer = json.dumps({"results": results}).encode()
        pipeline.transport.exchange(hub, "POST", path, answer, headers, TIMEOUT)


def instance_of(settings: Settings) -> str:
    """`service.instance.id`, as it is in the resource."""
    return settings.resource_attributes.get("service.instance.id") or resource.instance()


def commands(body: bytes, signatures: str, access: Access, instance: str) -> list[dict[str, Any]]:
    """The commands of a document, those alone that this process has not seen.

    Args:
        body: the document as it came.
        signatures: the header that came with it; a hub with two secrets signs with both.
        access: the secret shared with the hub.
        instance: of this process.

    Raises:
        Refusal: the document is not to be believed.
    """
    expected = access.sign(body).encode()
    if not any(hmac.compare_digest(given.strip().encode(), expected) for given in signatures.split(",")):
        raise Refusal("the signature is not that of the hub")
    try:
        document = json.loads(body)
        issued, found = float(document["issued"]), list(document["commands"])
        fits = document["instance"] == instance and all(isinstance(command["id"], str) for command in found)
    except (ValueError, KeyError, TypeError):
        raise Refusal("what it sent is no control document") from None
    now = time()
    if not fits or len(found) > MOST:
        raise Refusal("the document is for another process")
    if not abs(now - issued) <= OLDEST:
        raise Refusal(f"the document is {now - issued:.0f} s old; are both clocks right?")
    for seen in [known for known, when in _seen.items() if now - when > 2 * OLDEST]:
        del _seen[seen]
    if len(_seen) + len(found) > REMEMBERED:
        raise Refusal(f"it sent more than {REMEMBERED} commands within {2 * OLDEST / 60:.0f} minutes")
    fresh = []
    for command in found:
        if command["id"] not in _seen:
            _seen[command["id"]] = now
            fresh.append(command)
    return fresh


def _done(pipeline: Pipeline, command: dict[str, Any]) -> dict[str, Any]:
    """The result of one command; whatever it is, the next one's turn comes."""
    result: object
    try:
        name = command.get("command")
        action = ACTIONS.get(name) if isinstance(name, str) else None
        if action is None:
            raise ValueError(f"{name!r} is not on the list: {', '.join(ACTIONS)}")
        result, good = action(pipeline, command.get("value")), True
        if len(json.dumps(result)) > LARGEST:
            raise ValueError(f"the result is larger than {LARGEST} bytes")
    except ValueError as error:
        result, good = str(error), False
    except Exception as error:
        result, good = f"{type(error).__name__}: {error}", False
        guard.failed("control")
    return {"id": command["id"], "ok": good, "result": result}


def _sampling_ratio(pipeline: Pipeline, value: object) -> object:
    before = span.sampler.ratio
    if value is None:
        value = sampler.from_settings(pipeline.settings).ratio
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ValueError(f"{value!r} is no share of the traces: a number from 0 to 1, or null")
    span.sampler.change(float(value))
    return {"before": before, "now": span.sampler.ratio}


def _log_level(pipeline: Pipeline, value: object) -> object:
    if value is not None and value not in LEVELS:
        raise ValueError(f"{value!r} is no level: one of {', '.join(LEVELS)}, or null")
    change = outbox.commands.get("log_level")
    if change is None:
        raise ValueError("this process sends no log records: it was started so, or does not use logging")
    return change(value)


def _profiling(pipeline: Pipeline, value: object) -> object:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")
    from perfagent.runtime import http, profile

    before = http.profile is not None
    profile.switch(value, pipeline.settings.namespace)
    return {"before": before, "now": value}


def _profiler(pipeline: Pipeline, value: object) -> object:
    change = outbox.commands.get("profiler")
    if change is None:
        raise ValueError("the profiler of this process is off: it was started with PERFAGENT_PROFILER=false")
    return change(value)


def _clear_cache(pipeline: Pipeline, value: object) -> object:
    clear = outbox.commands.get("clear_cache")
    if clear is None:
        raise ValueError("this process does not look at functools caches: PERFAGENT_LRU_CACHES or PERFAGENT_VITALS")
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{value!r} is no name of a cache: a text, or null for all")
    return clear(value)


def _invalidate_tags(pipeline: Pipeline, value: object) -> object:
    invalidate = outbox.commands.get("invalidate_tags")
    if invalidate is None:
        raise ValueError("this process has no cache with tags, such as `perfagent.cached(tags=…)` makes")
    if not isinstance(value, list) or not all(isinstance(tag, str) and tag for tag in value):
        raise ValueError(f"{value!r} is no list of tags")
    return invalidate(value)


def _cache_ttl(pipeline: Pipeline, value: object) -> object:
    stretch = outbox.commands.get("cache_ttl")
    if stretch is None:
        raise ValueError("this process has no cache of perfagent's, such as `perfagent.cached()` makes")
    factors = value.get("factors") if isinstance(value, dict) else None
    if not isinstance(factors, dict) or not factors or not all(map(_is_factor, factors.values())):
        raise ValueError(
            f"{value!r} is not what a ttl is multiplied by: "
            '{"factors": {"CACHE": a number from 0.1 to 100}}, "" for every cache'
        )
    return stretch(factors)


def _is_factor(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0.1 <= value <= 100


def _report(pipeline: Pipeline, value: object) -> object:
    return report.of(pipeline)


def _references(pipeline: Pipeline, value: object) -> object:
    find = outbox.commands.get("references")
    if find is None:
        raise ValueError("this process does not look for leaks: PERFAGENT_LEAKS")
    return find(value)


def _collect_garbage(pipeline: Pipeline, value: object) -> object:
    began = monotonic()
    found = gc.collect()
    return {"unreachable": found, "seconds": round(monotonic() - began, 6)}


ACTIONS: dict[str, Callable[[Pipeline, object], object]] = {
    "sampling_ratio": _sampling_ratio,
    "log_level": _log_level,
    "profiling": _profiling,
    "profiler": _profiler,
    "clear_cache": _clear_cache,
    "invalidate_tags": _invalidate_tags,
    "cache_ttl": _cache_ttl,
    "references": _references,
    "report": _report,
    "collect_garbage": _collect_garbage,
}
"""All that a hub may ask for."""

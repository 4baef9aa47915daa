"""Tells of processes that sent here and died: of the last one of a service there is nobody else who would."""

from __future__ import annotations

import asyncio
from time import time_ns
from typing import TYPE_CHECKING, Any

import orjson

from perfagent.flight import death, files
from perfagent.hub.journal import log
from perfagent.hub.lock import LOOPBACK
from perfagent.hub.receive.receiver import SIGNALS, Receiver

if TYPE_CHECKING:
    from perfagent.flight.death import Death
    from perfagent.hub.hub import Hub

EVERY = 3.0  # seconds; more than the agent's own, for a sibling tells its receiver, whoever that is
LOGS = next(signal for signal in SIGNALS if signal.name == "logs")


class Deaths:
    """Looks for flight files of the dead until it is cancelled.

    Args:
        hub: that they sent to, and that keeps what they left.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._receiver = Receiver(hub)

    async def run(self) -> None:
        """Goes on for ever; a failure is logged and tried again."""
        while True:
            await asyncio.sleep(EVERY)
            try:
                for path in await asyncio.to_thread(self._dead):
                    await self._tell(path)
            except Exception:
                log.exception("what became of processes")

    def _dead(self) -> list[str]:
        place = files.folder(self._hub.settings, make=False)
        return list(files.dead(place)) if place else []

    async def _tell(self, path: str) -> None:
        found = death.read(path)
        if found is None or not self._is_ours(found.about.get("endpoint", "")):
            return
        mine = files.claim(path)
        if mine:
            log.warning("%s", found)
            await self._receiver.take(LOGS, orjson.dumps(self._request(found)), json=True)
            files.remove(mine)

    def _is_ours(self, endpoint: str) -> bool:
        host, _, port = endpoint.partition("://")[2].rpartition(":")
        return host in LOOPBACK and port == self._hub.address.rpartition(":")[2]

    def _request(self, found: Death) -> dict[str, Any]:
        service, instance = found.about.get("service", ""), found.about.get("instance", "")
        known = self._hub.store.rows("vitals/resources", service=service)
        own = next((orjson.loads(row["attributes"]) for row in known if row["instance"] == instance), None)
        who = own or {"service.name": service, "service.instance.id": instance}
        record: dict[str, Any] = {
            "timeUnixNano": str(found.when),
            "observedTimeUnixNano": str(time_ns()),
            "severityNumber": 17,
            "severityText": "ERROR",
            "eventName": death.EVENT,
            "body": {"stringValue": str(found)},
            "attributes": _attributes(found.attributes()),
        }
        if found.under_way:
            record |= {"traceId": found.under_way[0].trace_id.hex(), "spanId": found.under_way[0].span_id.hex()}
        scope = {"scope": {"name": "perfagent.flight"}, "logRecords": [record]}
        return {"resourceLogs": [{"resource": {"attributes": _attributes(who)}, "scopeLogs": [scope]}]}


def _attributes(pairs: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in pairs.items()]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(one) for one in value]}}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": str(value)}

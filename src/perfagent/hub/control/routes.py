"""Where agents fetch their commands and leave the results: GET and POST /v1/control/INSTANCE.

An agent asks only after an answer has told it that something waits. What it gets is signed, so that nobody else on the
way, or in the hub's place, can command it.
"""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Any

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.routing import Route

from perfagent.hub.access import Access
from perfagent.hub.api.errors import Refused

if TYPE_CHECKING:
    from starlette.requests import Request

    from perfagent.hub.control.commands import Command
    from perfagent.hub.hub import Hub

PATH = "/v1/control/{instance:path}"
LARGEST_BODY = 1 << 20  # bytes of results: sixteen reports of 64 kB
LARGEST_RESULT = 1 << 16
LONGEST_INSTANCE = 255


def routes(hub: Hub) -> list[Route]:
    """The two routes, for the hub's application; Host and Origin are the application's to check."""
    control = Control(hub)
    return [Route(PATH, control.fetch, methods=["GET"]), Route(PATH, control.answer, methods=["POST"])]


class Control:
    """The agents' side of the commands.

    Args:
        hub: whose commands they are. Where PERFAGENT_CONTROL_KEY is set, agents elsewhere that have the same key are
            known by it: they never learn the hub's own secret, which would make them administrators.
    """

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        key = hub.settings.control_key
        self.signers = [hub.access, Access(key.encode())] if key else [hub.access]

    async def fetch(self, request: Request) -> Response:
        """The commands that wait for an agent, signed."""
        instance = self._agent(request)
        commands = [
            {"id": command.id, "command": command.command, "value": command.value}
            for command in self.hub.commands.fetch(instance)
        ]
        body = orjson.dumps({"instance": instance, "issued": time(), "commands": commands})
        headers = {
            "Perfagent-Signature": ", ".join(signer.sign(body) for signer in self.signers),
            "Cache-Control": "no-store",
        }
        return Response(body, media_type="application/json", headers=headers)

    async def answer(self, request: Request) -> Response:
        """Takes an agent's results."""
        instance = self._agent(request)
        results = _results(await _body(request))
        answered = self.hub.commands.answer(instance, results)
        if answered:
            await run_in_threadpool(self._record, answered, request.client.host if request.client else "")
        return Response(orjson.dumps({"answered": len(answered)}), media_type="application/json")

    def _record(self, answered: list[Command], client: str) -> None:
        for command in answered:
            outcome = {"command": command.command, "state": command.state}
            if command.command != "report":  # that is no change, and 64 kB
                outcome["result"] = command.result
            self.hub.store.audit("agent", client, "command.answered", command.instance, None, outcome)

    def _agent(self, request: Request) -> str:
        """The process that asks.

        Raises:
            Refused: not with an agent's token. Neither does a viewer's do: what one fetches, the agent never gets.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Refused(401, "unauthenticated", "commands take the token of an agent: Authorization: Bearer TOKEN")
        roles = [signer.role(token.strip()) for signer in self.signers]
        if "agent" not in roles:
            if any(roles):
                raise Refused(403, "forbidden", "commands are for agents alone; to give some, POST to …/agents")
            raise Refused(401, "unauthenticated", "this is not the token of an agent of this hub")
        instance: str = request.path_params["instance"]
        if not instance or len(instance) > LONGEST_INSTANCE:
            raise Refused(404, "not_found", f"an instance has 1 to {LONGEST_INSTANCE} characters")
        return instance


async def _body(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > LARGEST_BODY:
            raise Refused(413, "too_large", f"results may take {LARGEST_BODY} bytes in all")
        parts.append(part)
    return b"".join(parts)


def _results(body: bytes) -> list[dict[str, Any]]:
    """The results in a body; one that is too large becomes a failure that says so."""
    try:
        results = orjson.loads(body)["results"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        results = None
    if not isinstance(results, list) or not all(isinstance(result, dict) for result in results):
        raise Refused(400, "bad_request", 'results are JSON: {"results": [{"id": …, "ok": true, "result": …}]}')
    for result in results:
        if len(orjson.dumps(result.get("result"))) > LARGEST_RESULT:
            result.update(ok=False, result=f"the result is larger than {LARGEST_RESULT} bytes")
    return results

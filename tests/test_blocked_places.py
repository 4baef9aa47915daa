"""Which line and which cause a blocked event loop is given, by the frames that a look sees."""

from __future__ import annotations

import asyncio
import json
from sys import _getframe

from perfagent.vitals import blockers
from perfagent.vitals.blocked import Place


def test_a_coroutine_of_a_client_is_not_told_as_a_synchronous_one() -> None:
    client = ["", "httpx._models:__init__", "await httpx._client:request", "await httpx._client:post"]
    assert blockers.library_of(client[1:]) == ""
    assert blockers.kind_of(client, 0.1, many=False, still=False) == blockers.STARVED
    assert blockers.library_of(["urllib3.connection:connect", "requests.api:get"]) == "requests"
    assert blockers.library_of(["socket:connect", "await httpx._client:post"]) == "socket"


def test_the_frames_of_coroutines_are_known() -> None:
    seen: list[Place] = []
    library: dict[str, object] = {"__name__": "httpx._client", "seen": seen, "Place": Place, "_getframe": _getframe}
    exec(compile("async def post():\n    seen.append(Place(None, _getframe()))", json.__file__, "exec"), library)
    asyncio.run(library["post"]())  # type: ignore[operator]
    assert seen[0].names[1] == "await httpx._client:post"


def test_a_callback_of_our_own_is_not_the_line_that_blocks() -> None:
    seen: list[Place] = []
    ours: dict[str, object] = {"__name__": "perfagent.vitals.garbage", "look": seen.append, "Place": Place,
                               "_getframe": _getframe}  # fmt: skip
    exec("def callback():\n    look(Place(None, _getframe()))", ours)
    json.loads("[1]", object_hook=None, parse_int=lambda _: ours["callback"]())  # type: ignore[operator]
    assert seen[0].attributes()["code.function.name"] != "callback"
    assert "in callback\n" not in seen[0].text() + "\n"

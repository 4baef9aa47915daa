"""The profile of a range, asked of a hub."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from perfagent.hub.flame import speedscope

if TYPE_CHECKING:
    from argparse import Namespace

    from perfagent.cli.client import Client
    from perfagent.hub.flame.stacks import Profile


class NothingError(Exception):
    """There is no profile to show; the text says why and what to do."""


def fetch(client: Client, asked: Namespace, filters: dict[str, object], **within: object) -> Profile:
    """The profile of a range, from the hub."""
    document = json.loads(client.content("profiles/export", format="speedscope", **filters, **within))
    return speedscope.read(document, asked.type)

"""The sources of one hub: which there are, when each collects, and what it saw."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.hub.sources.zones import Ladder

if TYPE_CHECKING:
    from perfagent.hub.hub import Hub
    from perfagent.hub.sources.seen import Seen
    from perfagent.hub.sources.zones import Zone


class Sources:
    """What a hub collects by itself.

    Args:
        hub: where what is collected goes.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._ladder = Ladder()
        self._seen: dict[str, list[Seen]] = {}

    @property
    def zone(self) -> Zone:
        """How loaded the hub's machine is."""
        return self._ladder.zone

    def facts(self) -> list[Seen]:
        """What each source saw when it looked last."""
        return [one for seen in self._seen.values() for one in seen]

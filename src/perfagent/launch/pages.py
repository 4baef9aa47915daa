"""Tells where the browsers that open the program's pages find a hub (PERFAGENT_RUM)."""

from __future__ import annotations

from perfagent.launch import hub

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.settings import Settings

NOWHERE = (
    "PERFAGENT_RUM is on, and no hub of yours runs that browsers could tell: pages stay as they are; start `perfagent "
    "hub`, or set PERFAGENT_RUM_URL to the address of one, such as https://hub.example.com"
)


def begin(settings: Settings) -> None:
    """Makes the program's pages send to the hub of PERFAGENT_RUM_URL, else to the user's own."""
    from perfagent import rum
    from perfagent.settings.rum import RumSettings

    own = RumSettings.current()
    if own.url:
        try:
            rum.use(own.url)
        except ValueError as error:
            own.report(f"PERFAGENT_RUM_URL: {error}; pages stay as they are")
        return
    found = hub.own(settings)
    if found is None:
        own.report(NOWHERE)
    else:
        rum.use(found.address)

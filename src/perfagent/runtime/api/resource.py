"""The resource as programs read it from a provider."""

from __future__ import annotations

from perfagent import settings
from perfagent.runtime import resource

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Resource:
    """Who sends: what the SDK's Resource has, to read."""

    schema_url = ""

    @property
    def attributes(self) -> Mapping[str, object]:
        """The attributes of the resource of this process."""
        return resource.attributes(settings.current())

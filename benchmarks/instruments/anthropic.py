"""anthropic: one message; the server speaks its JSON."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from tests.models import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

server = serving


@contextlib.contextmanager
def calls(address: str) -> Iterator[Callable[[], object]]:
    """A call of one client."""
    import anthropic

    client = anthropic.Anthropic(api_key="key", base_url=address)
    asked = [{"role": "user", "content": "hello"}]
    yield lambda: client.messages.create(model="parrot", max_tokens=9, messages=asked)

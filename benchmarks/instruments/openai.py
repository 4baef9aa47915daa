"""openai: one chat completion; the server speaks its JSON."""

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
    import openai

    client = openai.OpenAI(api_key="key", base_url=f"{address}/v1")
    asked = [{"role": "user", "content": "hello"}]
    yield lambda: client.chat.completions.create(model="parrot", messages=asked)

"""How many examples the fuzzing tests try: few in the gate, many by `make nightly`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

quick = settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
_deep = settings(max_examples=5000, deadline=None, suppress_health_check=list(HealthCheck))


def deep(test: Callable[..., Any]) -> Callable[..., Any]:
    """Many examples, at night."""
    return pytest.mark.nightly(pytest.mark.timeout(900)(_deep(test)))

"""A plugin of pytest: the second try of a failed test (`--reruns`) begins with fixtures of its own."""

from __future__ import annotations

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Ends the fixtures of the module, so that nothing of the failed try is counted in the next one."""
    if isinstance(item, pytest.Function) and getattr(item, "execution_count", 1) > 1:
        for definitions in item._fixtureinfo.name2fixturedefs.values():
            for definition in definitions:
                if definition.scope == "module":
                    definition.finish(item._request)

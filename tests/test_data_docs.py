"""What docs/how-to/data.md shows works as it says."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.test_docs import blocks

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunProgram

PAGE = "docs/how-to/data.md"
TOLD = {
    "AsyncFileProcessor": ["total 9900000", "shop 3 1414", "lines 200001"],
    "memory_report": ["% saved", "status: "],
    "compress_data": ["True {'id': 999, 'status': 'paid'}"],
    "QueryOptimizer": [
        "CacheFigures(hits=2, misses=1",
        "\n0\n",
        "('orders',)",
        "CREATE INDEX IF NOT EXISTS",
        "\n()\n",
        "?",
    ],
    "PaginatedQuery": ["100 8 None", "\n1000\n", "Int64", "1000 3996 3996"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TOLD)
def test_an_example_runs_and_tells_what_the_page_says(name: str, run_program: RunProgram, tmp_path: Path) -> None:
    (block,) = [one for one in blocks(PAGE, "python") if name in one]
    (tmp_path / "example.py").write_text(block)
    shown = run_program(sys.executable, "example.py", cwd=tmp_path).check(timeout=90)
    for told in TOLD[name]:
        assert told in shown, shown


def test_every_example_is_tested() -> None:
    assert len(blocks(PAGE, "python")) == len(TOLD)

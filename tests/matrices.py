"""What a matrix of tests found, as rows for the pages that `tools.matrices` makes of them.

`make nightly` sets PERFAGENT_MATRIX_RESULTS to a folder; without it nothing is written.
"""

from __future__ import annotations

import json
import os
from pathlib import Path


def record(matrix: str, row: str, **figures: object) -> None:
    """Adds a row to a matrix; a later row of the same name replaces it.

    Args:
        matrix: its name, such as "processes".
        row: what was tried, such as "gunicorn gthread, preload".
        figures: what was found, by the column's title in small letters and underscores.
    """
    folder = os.environ.get("PERFAGENT_MATRIX_RESULTS")
    if folder:
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        with (path / f"{matrix}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"row": row, **figures}) + "\n")

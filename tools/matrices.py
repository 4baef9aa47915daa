"""`python -m tools.matrices FOLDER`: writes docs/reference/matrices.md from what `make nightly` found."""

from __future__ import annotations

import json
import sys
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "matrices.md"
HEAD = """\
# Matrices

What `make nightly` tried and found: the frameworks' own test suites with and without the agent, the ways in which
Python programs are run, what lives beside the agent, and what goes wrong around it. Each row is a test that fails
where the row is not as it should be. `python -m tools.matrices` makes this page from the last run.
"""
TITLES = {
    "suites": "Test suites of the libraries, bare and under the agent",
    "processes": "Ways to run a program",
    "coexistence": "Beside others",
    "faults": "Faults under load",
    "secrets": "Canaries",
}


def page(folder: Path) -> str:
    """The page of all matrices in `folder`.

    Args:
        folder: of `NAME.jsonl` files, as `tests.matrices.record` writes them.
    """
    parts = [HEAD]
    for name, title in TITLES.items():
        path = folder / f"{name}.jsonl"
        if path.exists():
            lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            parts.append(f"## {title}\n\n{_table({line['row']: line for line in lines})}\n")
    return "\n".join(parts)


def _table(rows: dict[str, dict[str, object]]) -> str:
    columns = list(dict.fromkeys(key for row in rows.values() for key in row))
    lines = [
        ["what" if column == "row" else column for column in columns],
        ["---"] * len(columns),
        *([row.get(column, "") for column in columns] for row in rows.values()),
    ]
    titled = [[str(cell).replace("_", " ") if at == 0 else str(cell).replace("|", "\\|") for cell in line]
              for at, line in enumerate(lines)]  # fmt: skip
    return "\n".join(f"| {' | '.join(line)} |" for line in titled)


if __name__ == "__main__":
    PAGE.write_text(page(Path(sys.argv[1])), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(Path.cwd())}")

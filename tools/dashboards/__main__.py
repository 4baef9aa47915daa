"""Writes the dashboards in collector/grafana/dashboards from their definitions.

`python -m tools.dashboards` writes them; with `--check` it writes nothing, and exits with 1 where one is not current.
With `--folder FOLDER` and `--docs ADDRESS` they are made for another Grafana, with links to a copy of docs/ elsewhere.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.dashboards.boards import BOARDS
from tools.dashboards.render import DOCUMENTATION, render

FOLDER = Path(__file__).parent.parent.parent / "collector" / "grafana" / "dashboards"


def main(words: list[str]) -> int:
    """Writes or checks every dashboard.

    Args:
        words: of the command line.

    Returns:
        The exit status: 1 where `--check` found one that is not current, or a file that no definition makes.
    """
    parser = argparse.ArgumentParser(prog="python -m tools.dashboards", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 where a file is not current")
    parser.add_argument("--docs", default=DOCUMENTATION, metavar="ADDRESS", help=f"of docs/ (default: {DOCUMENTATION})")
    parser.add_argument(
        "--folder", type=Path, default=FOLDER, help="where they go (default: collector/grafana/dashboards)"
    )
    wanted = parser.parse_args(words)
    stale = 0
    made = {
        wanted.folder / f"{board.uid.removeprefix('perfagent-')}.json": render(board, wanted.docs.rstrip("/"))
        for board in BOARDS
    }
    for path, content in made.items():
        if path.exists() and path.read_text(encoding="utf-8") == content:
            continue
        if wanted.check:
            print(f"{path.name} is not what tools/dashboards makes: run `python -m tools.dashboards`", file=sys.stderr)
            stale = 1
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
            print(f"wrote {path}")
    if wanted.check:
        for path in sorted({*wanted.folder.glob("*.json")} - {*made}):
            print(f"{path.name} is of no definition in tools/dashboards/boards: remove it", file=sys.stderr)
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

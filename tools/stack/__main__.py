"""`python -m tools.stack build [PART …]` makes the programs of the stack in a cache folder."""

from __future__ import annotations

import argparse
import sys

from tools.stack.build import BuildError, build, folder
from tools.stack.parts import PARTS


def main() -> int:
    """Runs one command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.stack", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    building = commands.add_parser("build", help="make what is missing of the programs")
    building.add_argument("parts", nargs="*", choices=[*PARTS, []], help="all when left out")
    wanted = parser.parse_args()
    try:
        for name in wanted.parts or PARTS:
            build(PARTS[name])
            print(f"{name}: {folder(PARTS[name])}")
    except BuildError as error:
        print(f"stack: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m perfagent`, the same as `perfagent`."""

import sys

from perfagent.cli import main

if __name__ == "__main__":
    sys.exit(main())

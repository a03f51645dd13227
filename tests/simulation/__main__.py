"""`python -m tests.simulation --seeds A..B [--jobs N]`: the entry point of a checkout to the package's simulator."""

from __future__ import annotations

import sys

from yurt.server.testing.simulation.__main__ import main

if __name__ == "__main__":
    sys.exit(main())

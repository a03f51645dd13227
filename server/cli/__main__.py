"""`python -m yurt.server.cli`: the `yurt` command without its script."""

from __future__ import annotations

from yurt.server.cli.main import main

main()

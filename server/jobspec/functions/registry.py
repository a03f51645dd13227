"""All functions by name (spec jobspec-hcl §15); `try`, `can` and `convert` are in `calls`."""

from __future__ import annotations

from yurt.server.jobspec.functions import (  # noqa: F401  # they register themselves
    collections,
    crypto,
    dates,
    encoding,
    files,
    formats,
    network,
    numbers,
    strings,
)
from yurt.server.jobspec.functions.signature import FUNCTIONS

__all__ = ["FUNCTIONS"]

"""Time zones by name, from the `tzdata` package: the same on every machine."""

from __future__ import annotations

import importlib.resources
import re
from datetime import UTC, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

_NAME = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")


@lru_cache(1024)
def zone(name: str) -> tzinfo | None:
    """The zone of an IANA name; `UTC` and the empty name are UTC; None if there is none of that name."""
    if name in ("", "UTC", "Local"):
        return UTC
    if not _NAME.fullmatch(name) or len(name) > 64:
        return None
    file = importlib.resources.files("tzdata").joinpath("zoneinfo", *name.split("/"))
    try:
        with file.open("rb") as stream:
            return ZoneInfo.from_file(stream, key=name)
    except (OSError, ValueError):  # not there, a folder, or one of the files beside the zones
        return None

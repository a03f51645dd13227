"""Time zones by name, read from the machine (or the tzdata package where it is installed) and handed to pure rooms."""

from __future__ import annotations

from datetime import UTC, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

NAME_LENGTH_MAX = 255


@lru_cache(1024)
def zone_of(name: str) -> tzinfo | None:
    """The zone of an IANA name (`Europe/Rome`), None if there is none; "" is UTC."""
    if name in ("", "UTC"):
        return UTC
    if len(name) > NAME_LENGTH_MAX:
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None
